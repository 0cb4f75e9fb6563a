"""Writes what a trainer has trained."""

from pathlib import Path
from typing import Any

from workflow_scripts.models import canonical, writing
from workflow_scripts.train import adapters
from workflow_scripts.train.methods._base import Recipe


def write(trainer: Any, recipe: Recipe, parent: Path, layout: canonical.Layout, output: Path) -> None:
    """Write the parent's directory with the trained weights in it, an adapter merged into them.

    Raises:
        UserError: a weight is not finite.
    """
    state = trainer.accelerator.get_state_dict(trainer.model_wrapped)  # of all ranks together
    if not trainer.is_world_process_zero():
        return
    trained = trainer.accelerator.unwrap_model(trainer.model)
    if recipe["lora"]:
        trained, state = adapters.merged(parent, trained, state)
    writing.write(trained, state, parent, layout, output, "training diverged; lower learning_rate")
