"""Libraries of another version: what they made is redone only after somebody said so, where it is costly.

The experiment is small, so the rows that are to be asked set what may be redone unasked to nothing.
"""

import importlib.metadata

from bench.stale.edit import Edit, Patch, together
from bench.stale.patches.code import statement, version
from bench.stale.patches.config import put
from bench.stale.patches.files import delete
from bench.stale.size import ANSWERS, DPO, EACH, JUDGED, MODEL, MODELS, PROMPTS, WHOLE

ASKED = "code or versions changed"
ALWAYS_ASK = put("machine.ask_above", {"gpu_hours": 0.0, "cpu_hours": 0.0, "usd": 0.0})


def patched(package: str) -> Patch:
    """A later patch version of a library."""
    *minor, _ = importlib.metadata.version(package).split("+")[0].split(".")
    return version(package, ".".join([*minor, "99"]))


def keep(*units: str, redo: tuple[str, ...] = ()) -> Patch:
    """Keep what was made by some units, and have made again what others made."""
    return lambda run: run.command("keep", "--config", "config.yaml", "--keep", *units, "--redo", *redo) and None


EDITS = [
    Edit("a version of TRL, unasked", version("trl", "99.0"), steps=WHOLE["steps"]),
    Edit("a version of matplotlib, unasked", version("matplotlib", "99.0"), runs=("figure",)),
    Edit("a patch of transformers: asks", together(ALWAYS_ASK, patched("transformers")), refused=ASKED),
    Edit(
        "a patch of transformers: keep all",
        together(ALWAYS_ASK, patched("transformers")),
        refused=ASKED,
        consent=keep("*"),
        idle=True,
    ),
    Edit(
        "a patch of transformers: redo all",
        together(ALWAYS_ASK, patched("transformers")),
        refused=ASKED,
        consent=keep(redo=("*",)),
        steps=WHOLE["steps"],
        merges=1,  # ties, whose weights are gone, answers again
        completions=MODELS * PROMPTS,
    ),
    Edit(
        "a patch of transformers: keep trainings, redo answers",
        together(ALWAYS_ASK, patched("transformers")),
        refused=ASKED,
        consent=keep("initialise", "train:*", redo=("generate:*",)),
        merges=1,
        completions=MODELS * PROMPTS,
    ),
    Edit(
        "a patch of torch: keep trainings and answers, redo merges",
        together(ALWAYS_ASK, patched("torch")),
        refused=ASKED,
        consent=keep("initialise", "train:*", "generate:*", redo=("merge",)),
        merges=2,
    ),
    Edit(
        "a patch of mergekit: keep merges",
        together(ALWAYS_ASK, patched("mergekit")),
        refused=ASKED,
        consent=keep("merge"),
        idle=True,
    ),
    *(
        Edit(
            f"a patch of transformers: keep all, then {what} deleted",  # the store has what was made
            together(ALWAYS_ASK, patched("transformers")),
            refused=ASKED,
            consent=together(keep("*"), delete(place)),
        )
        for what, place in (
            ("a model's weights", f"{MODEL}/safety/model.safetensors"),
            ("all models", MODEL),
            ("data", "results/nano/data"),
            ("answers", ANSWERS),
        )
    ),
    Edit(
        "kept, then edited",  # the pin of what the edit is about ends; of the others it holds
        together(ALWAYS_ASK, patched("trl")),
        refused=ASKED,
        consent=together(keep("*"), put("training.dpo.weight_decay", 0.0), put("training.dpo.warmup_steps", 1)),
        steps=DPO,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit("code that trains: asks", together(ALWAYS_ASK, statement("train/trainer", "train")), refused=ASKED),
    Edit(
        "code that trains: keep all",
        together(ALWAYS_ASK, statement("train/trainer", "train")),
        refused=ASKED,
        consent=keep("*"),
        idle=True,
    ),
]
