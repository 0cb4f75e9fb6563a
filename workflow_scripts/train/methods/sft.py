"""Supervised fine-tuning: the loss is that of the completion's tokens."""

from typing import Any

from trl import SFTConfig, SFTTrainer

from workflow_scripts.train.methods._base import Example, Method, Recipe


def _features(example: Example) -> dict[str, Any]:
    return {
        "input_ids": example.prompt + example.answers[0],
        "labels": [-100] * len(example.prompt) + example.answers[0],
    }


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "packing": recipe["packing"],
        "completion_only_loss": True,
        "shuffle_dataset": False,
        # Rows come with their labels; all that is left to prepare is the packing.
        "dataset_kwargs": {"skip_prepare_dataset": not recipe["packing"]},
        "max_length": recipe["max_length"] if recipe["packing"] else None,
    }


METHOD = Method(
    answers=("completion",),
    features=_features,
    trainer=SFTTrainer,
    arguments=SFTConfig,
    settings=_settings,
    reference=False,
)
