"""Edits of code: of words, of work functions, of what is beside them; locked as new results, as the same, or not."""

from bench.stale.edit import Edit, run, together
from bench.stale.patches.code import comment, docstring, edit, insert, lock_new, lock_same, replace, statement
from bench.stale.size import (
    ALL,
    DPO,
    EACH,
    HARM,
    JUDGED,
    MODELS,
    PREFERENCE,
    PROMPTS,
    WHOLE,
)

TRAININGS = ("train:dpo", "train:kto", "train:sft")
ANSWERED = {"merges": 1, "completions": MODELS * PROMPTS}  # ties is merged again, since its weights are gone


EDITS = [
    # What is only said otherwise
    *(
        Edit(f"a comment in {module}", comment(module), idle=True)
        for module in ("train/trainer", "merge/with_mergekit", "llm/client", "store/finished_work")
    ),
    *(
        Edit(f"a docstring of {module}", docstring(module), idle=True)
        for module in ("generate/engine", "judge/scores", "base/hashing", "paper/table")
    ),
    # What is done otherwise, with the same result. A unit's own work is done again; all that follows is found again.
    Edit("code that draws mixtures", statement("data/mixture", "draw"), runs=("mixture",)),
    Edit("code that makes the world", statement("miniature/world", "rows"), runs=("source",)),
    Edit("code that trains", statement("train/trainer", "train"), steps=WHOLE["steps"]),
    Edit("code of one method of training", statement("train/methods/dpo", "_settings"), steps=DPO),
    Edit("code that merges", statement("merge/with_mergekit", "merge"), merges=2),
    Edit("code that generates", statement("generate/engine", "start"), **ANSWERED),
    Edit("code of an engine", statement("generate/engines/transformers", "_Transformers.generate"), **ANSWERED),
    Edit("code of an engine that nobody uses", statement("generate/engines/vllm", "_VLLM.generate"), idle=True),
    Edit("code that judges", statement("judge/scores", "judge"), runs=("judge", "compare")),
    Edit("code of one metric", insert("metrics/harm", "", "EDITED = True"), runs=("judge",)),
    Edit("code that describes answers", statement("judge/scores", "described"), runs=("judge", "compare")),
    Edit("code of the rules", statement("miniature/rule_judge", "harm"), questions=HARM + PREFERENCE, forgotten=True),
    Edit("code that prints tables", statement("paper/table", "render"), runs=("table",)),
    Edit("code of a measure", insert("metrics/measures/harm", "", "EDITED = True"), runs=("table", "figure")),
    Edit("code that draws figures", statement("paper/drawing", "draw"), runs=("figure",)),
    Edit("code that reads scores", statement("paper/scores", "read"), runs=("table", "figure")),
    Edit("code that selects rows of a mixture", statement("data/mixture", "select"), steps=WHOLE["steps"]),
    Edit(
        "a helper of trainings and engines",
        statement("models/directory", "tensors"),
        steps=WHOLE["steps"],
        **{**ANSWERED, "merges": 2},
    ),
    Edit("a helper of all stages", statement("base/hashing", "of_table")),
    Edit("the code around a stage", statement("train/train", "make"), idle=True),
    Edit(
        "words of the world",  # the French answers: all that is trained changes, and no prompt does
        edit(
            "workflow_scripts/miniature/lexicon/fr.yaml", lambda text: text.replace('\nanswer: "', '\nanswer: "Oui , ')
        ),
        **WHOLE,
        alters=ALL,
        forgotten=True,  # the rules read them too
    ),
    # Locked: the same results
    Edit(
        "an error of trainings reworded, and locked as the same",
        together(replace("train/tokenise", "no rows to train on", "nothing to train on"), lock_same(*TRAININGS)),
        idle=True,
    ),
    Edit(
        "a private function of trainings renamed, and locked as the same",
        together(replace("train/trainer", "_seen", "_rows_seen"), lock_same(*TRAININGS)),
        idle=True,
    ),
    # Locked: new results
    Edit(
        "a method of training that is done otherwise, and locked as new",
        together(replace("train/methods/dpo", 'recipe["beta"]', '2 * recipe["beta"]'), lock_new("train:dpo")),
        steps=DPO,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit(
        "merging that is coded otherwise, and locked as new",
        together(statement("merge/with_mergekit", "merge"), lock_new("merge")),
        merges=2,
    ),
    Edit(
        "locked as new after the work was done with it",
        together(statement("train/methods/dpo", "_settings"), run(), lock_new("train:dpo")),
        idle=True,
    ),
]
