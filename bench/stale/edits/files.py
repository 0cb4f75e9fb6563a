"""Files that only look new, that are gone, or that are not what they were."""

from bench.stale.edit import Edit, together
from bench.stale.patches.config import put
from bench.stale.patches.files import clone, copy_without_times, damage, delete, discard, old_times, touch
from bench.stale.size import ANSWERS, HARM, MODEL, PREFERENCE, PROMPTS, SAFETY, SCORES

EDITS = [
    Edit("everything touched", touch, idle=True),
    Edit("copied with new times", copy_without_times, idle=True),
    Edit("a fresh clone beside results", clone, idle=True),
    Edit("times set back", old_times, idle=True),
    # Gone: the store has what was made
    Edit("data deleted", delete("results/nano/data")),
    Edit("a model's weights deleted", delete(f"{MODEL}/safety/model.safetensors")),
    Edit("all models deleted", delete(MODEL)),
    Edit("answers deleted", delete(f"{ANSWERS}/mix")),
    Edit("scores deleted", delete(SCORES)),
    Edit("a table and a figure deleted", delete("results/nano/tables/table1.md", "results/nano/figures/figure2.png")),
    Edit("learning curves deleted", delete("results/nano/seed0/curves")),
    Edit("the experiment's folder deleted", delete("results/nano")),
    Edit("the store deleted", delete("results/.store"), idle=True),
    Edit("what jobs were told deleted", delete("results/.jobs"), idle=True),
    Edit(
        "answers deleted, in the store too",
        delete(f"{ANSWERS}/mix", "results/.store/completions"),
        completions=PROMPTS,
    ),
    Edit(
        "scores and judgments deleted",
        delete(SCORES, "results/.store/judgments"),
        questions=HARM + PREFERENCE,
        forgotten=True,
    ),
    # Not what they were
    Edit(
        "a model's weights corrupted",  # with the store's, which are the same file
        damage(f"{MODEL}/safety/model.safetensors"),
        refused="safety/model.safetensors",
        consent=discard(f"{MODEL}/safety/model.safetensors"),
        steps=SAFETY,
    ),
    *(
        Edit(f"{name} corrupted", damage(place), refused=place, consent=discard(place))
        for name, place in (
            ("scores", f"{SCORES}/rules/mix/redteam.parquet"),
            ("answers", f"{ANSWERS}/mix/redteam.parquet"),
            ("a table", "results/nano/tables/table1.csv"),
        )
    ),
    Edit("results without provenance", delete("results/.provenance", ".snakemake"), idle=True),
    Edit(
        "results without provenance, and edited",
        together(delete("results/.provenance", ".snakemake"), put("training.sft.learning_rate", 1.0e-3)),
        refused="came without its provenance",
    ),
]
