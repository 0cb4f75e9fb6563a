"""Where everything lies in results/. No other file spells these paths, or takes meaning out of one."""

from workflow_scripts.experiment.stages._base import Place

SOURCE = Place("data/sources/{source}.parquet")
TRANSLATION = Place("data/translations/{source}.parquet")
SYNTHESIS = Place("data/synthesis/{source}.parquet")
MIXTURE = Place("data/mixtures/{mixture}.parquet")
SUITE = Place("data/suites/{suite}.parquet")
OVERLAP = Place("data/overlap.parquet")

MODEL = Place("seed{seed}/models/{model}/{file}")
MANIFEST = Place("seed{seed}/models/{model}/manifest.json")
RECIPE = Place("seed{seed}/models/{model}/recipe.json")
CURVE = Place("seed{seed}/curves/{model}.parquet")

ANSWERS = Place("seed{seed}/generations/{model}/{suite}.parquet")
SCORES = Place("seed{seed}/scores/{judge}/{model}/{suite}.parquet")
COMPARISON = Place("seed{seed}/scores/{judge}/{model}/{suite}.vs.{against}.parquet")
LABELS = Place("labels/{judge}/{suite}.parquet")

SENT = Place("seed{seed}/batches/{judge}/{model}/sent.json")
ANSWERED = Place("seed{seed}/batches/{judge}/{model}/answered.json")
LABELS_SENT = Place("labels/{judge}/batch/sent.json")
LABELS_ANSWERED = Place("labels/{judge}/batch/answered.json")

TABLE = Place("tables/{table}.{form}")
FIGURE = Place("figures/{figure}.{form}")
