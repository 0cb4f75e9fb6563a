"""The workflow grows: rows of its registries, and keys of its config, that no finished work knew."""

from bench.stale.edit import Edit
from bench.stale.patches.code import add_row, insert, replace
from bench.stale.size import MERGED

REGISTRIES = {
    "a method of training": ("train/methods", "sft"),
    "an engine": ("generate/engines", "transformers"),
    "a format of datasets": ("data/formats", "polyguard"),
    "a metric": ("metrics", "harm"),
    "a measure": ("metrics/measures", "harm"),
    "a kind of table": ("paper/tables", "cells"),
    "a kind of figure": ("paper/figures", "bars"),
}

# An optional key, whose neutral value is what the code did before; of every type that a key may have.
KEYS = {
    "training": ("Training", ("float | None", "None"), ("tuple[float, float]", "(0.5, 0.5)"), ("float", "0.5")),
    "generation": ("Generation", ("float", "2.0"), ("bool", "True")),
    "judging": ("Judge", ("dict[str, float]", "{}"), ("str", "'calm'")),
}

EDITS = [
    *(Edit(f"{what} added", add_row(*place), idle=True) for what, place in REGISTRIES.items()),
    *(
        Edit(
            f"an optional key of {section}, by default {neutral}",
            insert(f"config/{module}", section, f"added: {kind} = {declared}({neutral}, neutral={neutral})"),
            idle=True,
        )
        for module, (section, *types) in KEYS.items()
        for kind, neutral in types
        for declared in ("result",)
    ),
    Edit(
        "an optional key of Training that is of execution",
        insert("config/training", "Training", "added: int = execution(7, neutral=7)"),
        idle=True,
    ),
    Edit(
        "another default of a key that every training states",
        replace("config/training", "epochs: float = result(1.0,", "epochs: float = result(2.0,"),
        idle=True,
    ),
    Edit(
        "another default of a key that a merge leaves to it",  # its neutral value is still what it was
        replace("config/merging", 'dtype: DataType = result("float32",', 'dtype: DataType = result("bfloat16",'),
        **MERGED,
    ),
]
