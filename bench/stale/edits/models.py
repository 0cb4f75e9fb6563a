"""Trainings, merges, and the table of models."""

from bench.stale.edit import Edit, together
from bench.stale.patches.config import drop, put, rename
from bench.stale.size import ALL, DPO, EACH, JUDGED, MERGED, MIX, MODELS, PREFERENCE, PROMPTS, RETRAINED, SAFETY, WHOLE

SLERP = {"steps": DPO, "merges": 1, "completions": 2 * PROMPTS, "questions": 2 * EACH, "alters": JUDGED}  # and child

EDITS = [
    Edit(
        "a learning rate",
        put("training.sft.learning_rate", 1.0e-3),
        steps=MIX + SAFETY + DPO,
        merges=2,
        completions=5 * PROMPTS,
        questions=5 * EACH,
        alters=ALL,
    ),
    Edit(
        "a learning rate of one model",
        put("models.safety.with", {"learning_rate": 1.0e-3}),
        steps=SAFETY + DPO,
        **RETRAINED,
    ),
    Edit("twice the epochs", put("models.mix.with", {"epochs": 2}), steps=2 * MIX + DPO, **RETRAINED),
    Edit("a reseeded training", put("models.safety.reseed", 1), steps=SAFETY + DPO, **RETRAINED),
    Edit(
        "beta of the DPO",
        put("training.dpo.beta", 0.5),
        steps=DPO,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit(
        "a training's settings nobody uses",
        put("training.spare", {"method": "sft", "batch_size": 8, "learning_rate": 0.1, "max_length": 64}),
        idle=True,
    ),
    Edit("the seed replaced", put("seeds", [1]), **WHOLE, alters=ALL),
    Edit("a seed added", put("seeds", [0, 1]), **WHOLE, alters=ALL),
    # Merges
    Edit("a method's density", put("merging.ties.density", 0.3), **MERGED),
    Edit("a merge's weight", put("merging.ties.weights", [0.5, 1.0]), **MERGED),
    Edit("a merge's parents swapped", put("models.slerp.parents", ["safety", "mix"]), **SLERP),
    Edit("t of SLERP", put("merging.slerp.t", 0.6), **SLERP),
    Edit(
        "another method",
        together(put("merging.linear", {"method": "linear", "weights": 0.5}), put("models.ties.merge", "linear")),
        **MERGED,
    ),
    Edit("temporary merges kept", put("keep_merges", True), merges=1),
    # The table of models
    Edit("a model renamed", rename("safety", "harmless"), alters=("learning",)),
    Edit("a temporary merge renamed", rename("ties", "merged"), alters=JUDGED),  # which tables name
    Edit("the base renamed", rename("base", "start"), alters=JUDGED),  # which tables name
    Edit(
        "a model removed",
        together(drop("models.slerp-dpo"), drop("tables.table1.rows.SLERP then DPO")),
        alters=("table1",),
    ),
    Edit(
        "a merge added",
        together(
            put("merging.linear", {"method": "linear", "weights": 0.5}),
            put("models.linear", {"merge": "linear", "parents": ["mix", "safety"]}),
        ),
        merges=1,
        completions=PROMPTS,
        questions=EACH,
    ),
    Edit(
        "a DPO child given to a temporary merge",  # whose weights are gone, and stay from now on
        put("models.ties-dpo", {"train": "dpo", "parent": "ties", "mixture": "mix"}),
        steps=DPO,
        merges=1,
        completions=PROMPTS,
        questions=EACH,
    ),
    # Two edits at once: a suite, which the check of overlaps reads, and a training, which waits for that check
    Edit(
        "a suite added, and a learning rate of one model",
        together(
            put("suites.more", {"source": "general", "split": "validation", "per_language": 2, "metric": "preference"}),
            put("models.safety.with", {"learning_rate": 1.0e-3}),
        ),
        steps=SAFETY + DPO,
        merges=2,
        completions=4 * PROMPTS + MODELS * 4,
        questions=4 * EACH + (MODELS - 1) * 4 * 2,
        alters=ALL,
    ),
    Edit("another baseline", put("baseline", "mix"), questions=PREFERENCE, alters=JUDGED),
    Edit("the experiment renamed", put("experiment", "pico"), alters=("learning",)),
]
