"""Trains a parent model by one of the methods (`methods`), in this process or as one of several (`launch`).

Three rules hold throughout.  Training changes weights and nothing else, so a trained model is its parent's directory
with other numbers in it: the same tensor names, data type, configuration and tokenizer.  The same recipe gives the same
bits, in a cold process, a forked one, or one that was killed and resumed.  Steps are counted in a hook on optimizer.
"""

import gc
import math
from pathlib import Path
from typing import Any

import pyarrow as pa
import torch

from workflow_scripts.base import records
from workflow_scripts.models import canonical
from workflow_scripts.train import adapters, checkpoints, trained_model, trl_trainer
from workflow_scripts.train.devices import check_devices, explain_out_of_memory
from workflow_scripts.train.methods import METHODS
from workflow_scripts.train.methods._base import Recipe
from workflow_scripts.train.quiet import quieten
from workflow_scripts.train.tokenise import tokenise

# What the trainer logs about time, or about this process rather than the whole run.
UNREPEATABLE = ("train_", "epoch", "step", "num_tokens", "num_input_tokens_seen", "total_flos")


def train(recipe: Recipe, parent: Path, rows: pa.Table, work: Path, output: Path) -> dict[str, Any]:
    """Train a parent model on rows, from the last whole checkpoint in `work` if there is one.

    Args:
        recipe: every setting, see the keys read below; none has a default here.  With more `processes` than one, this
            is called in each of them (see `launch`), and `batch_size` is still that of an optimizer step.
        parent: the model directory to start from, and DPO's reference.
        rows: of schema records.ROWS, in the order that the seed shuffles.
        work: where checkpoints survive a kill; belongs to this recipe and these inputs alone.
        output: the model directory to write; only the process of rank 0 writes.

    Returns:
        `cost`: rows (unique ones), examples (rows seen, with repeats), tokens (of prompts and answers seen), steps (of
        the optimizer); `truncated`: answers that lost their end to max_length; `curve`: a table of records.CURVE.

    Raises:
        UserError: rows that cannot be trained on, a broken parent, too little memory, or a loss that is not finite.
    """
    method = METHODS[recipe["method"]]
    quieten()
    check_devices(recipe, parent)
    gc.freeze()  # accelerate collects garbage before it trains: half a second among the objects that imports made
    torch.set_num_threads(recipe["threads"])
    layout = canonical.layout(parent)
    if recipe["lora"]:
        adapters.check(recipe["lora"], parent)
    examples, truncated = tokenise(recipe, method, parent, rows)
    with explain_out_of_memory(recipe), checkpoints.nothing_halfway(work):
        trainer = trl_trainer.build(recipe, method, parent, examples, work)
        whole = checkpoints.last_whole(work)
        trainer.train(resume_from_checkpoint=str(whole) if whole else None)
        trained_model.write(trainer, recipe, parent, layout, output)
    state = trainer.state
    return {
        "cost": {
            "rows": len({*zip(rows["source"].to_pylist(), rows["id"].to_pylist(), strict=True)}),
            "examples": _seen(state.global_step, len(trainer.train_dataset), trainer.args, len(rows)),
            "tokens": int(state.num_input_tokens_seen),
            "steps": state.global_step,
        },
        "truncated": truncated,
        "curve": _curve(state.log_history),
    }


def _seen(steps: int, items: int, arguments: Any, rows: int) -> int:
    """Rows seen in `steps` of the optimizer over a dataset of `items`, which are rows, or packs of them."""
    each = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    epochs, part = divmod(steps, math.ceil(items / each))
    return int(round((epochs * items + part * each) * rows / items))


def _curve(history: list[dict[str, float]]) -> pa.Table:
    """The trainer's log as rows of schema records.CURVE."""
    points = [
        {"step": int(entry["step"]), "metric": metric, "value": float(value)}
        for entry in history
        for metric, value in sorted(entry.items())
        if not metric.startswith(UNREPEATABLE) and isinstance(value, int | float)
    ]
    return pa.Table.from_pylist(points, schema=records.CURVE)
