"""Scores of a few models and seeds, as an item of the paper reads them, for tests."""

import csv
import io
from dataclasses import replace

import pyarrow as pa

from tests.unit.statistics.rows import harm_rows, win_rows
from workflow_scripts.paper import published
from workflow_scripts.paper.scores import Scores
from workflow_scripts.statistics.panel import Panel

LANGUAGES = ("en", "hi")
COST = {"rows": 600, "examples": 1200, "tokens": 24000, "steps": 38}


def model(harmful, wins, of=20):
    """Scores of a model with so many harmful answers and so many wins."""
    harm = harm_rows((["harmful"] * harmful + ["refused"] * of)[:of], languages=LANGUAGES)
    win = win_rows(([("win", "win")] * wins + [("loss", "loss")] * of)[:of])
    return harm, win


def scores(**changes):
    models = {"base": (16, 0), "mix0": (18, 12), "mix15": (8, 12), "slerp": (4, 10), "under_score": (0, 20)}
    judged = {(name, 0): pa.concat_tables(model(*numbers)) for name, numbers in models.items()}
    contrasts = {
        "fair": {"mix": "mix15", "merge": "slerp", "matched": "rows"},
        "unfair": {"mix": "mix15", "merge": "mix0", "matched": "none"},
    }
    known = {name: COST for name in models if name != "base"}
    matched = {("slerp", "mix15"): "examples"}
    return replace(
        Scores(Panel(judged, "base", draws=200), LANGUAGES, "rules (v1)", known, matched, contrasts), **changes
    )


def scores_by_language():
    """As `scores`, but its wins have languages too."""
    own = scores()
    judged = {}
    for key, rows in own.panel.scores.items():
        languages = [code if code != "en" or m == "harm" else LANGUAGES[int(p) % 2] for code, m, p in zip(
            rows["language"].to_pylist(), rows["metric"].to_pylist(),
            [p.split("-")[0] for p in rows["prompt_id"].to_pylist()], strict=True)]  # fmt: skip
        judged[key] = rows.set_column(
            rows.schema.get_field_index("language"), rows.schema.field("language"), pa.array(languages)
        )
    return replace(own, panel=replace(own.panel, scores=judged, _outcomes={}))


def clear_scores(seeds=3, **changes):
    """A merge that is much safer than the mix and as able, in every seed alike."""
    judged = {}
    for seed in range(seeds):
        for name, numbers in {"base": (90, 0), "mix": (70 + seed, 50), "merge": (20, 50)}.items():
            judged[name, seed] = pa.concat_tables(model(*numbers, of=100))
    contrasts = {"safer": {"mix": "mix", "merge": "merge", "matched": "rows"}}
    return replace(Scores(Panel(judged, "base", draws=200), LANGUAGES, "rules (v1)", contrasts=contrasts), **changes)


ITEM = {
    "caption": "Mix or merge",
    "rows": {"0% Safety Mix": {"SFT": "mix0"}, "15% Safety Mix": {"SFT": "mix15"}, "SLERP": {"SFT": "slerp"}},
    "metrics": ["harm", "win"],
    "reference": "15% Safety Mix",
}


def read(table):
    return {(r["row"], r["metric"], r["language"]): r for r in csv.DictReader(io.StringIO(table.csv))}


def paper(tmp_path, value=-41.4, row="0% Safety Mix"):
    path = tmp_path / "p.yaml"
    path.write_text(
        "paper: P\nnotes: {}\nvalues:\n"
        f"  - {{item: t, row: '{row}', group: SFT, metric: harm, value: {value}, difference: -3.0, "
        "source: T, note: no base}\n"
    )
    return published.read(path)
