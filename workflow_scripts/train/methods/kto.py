"""Kahneman-Tversky optimisation (arXiv 2402.01306): answers become likelier or less likely one by one, not in pairs.

A row's completion is a desirable answer and its rejected one an undesirable one.  The loss sets each answer's gain over
the reference against the mean gain of mismatched pairs: the prompts of one forward pass, each with the answer to
another of them.  So rows are put into an order beforehand, by the seed, and every forward pass has the completions of
its rows first and then their rejected answers; TRL's own order would pair some prompts with an answer to themselves.
"""

import random
from typing import Any

from datasets import Dataset
from trl import KTOConfig, KTOTrainer

from workflow_scripts.train.methods._base import Example, Method, Recipe


class AnswerTrainer(KTOTrainer):  # type: ignore[misc]
    """KTOTrainer on rows that are tokenised already, in an order of their own."""

    def _prepare_dataset(self, dataset: Any, processing_class: Any, args: Any, *_: Any) -> Any:
        rows = list(dataset)
        random.Random(args.data_seed).shuffle(rows)
        passed = args.per_device_train_batch_size // 2
        answers = []
        for first in range(0, len(rows), passed):
            answers += _forward_pass(rows[first : first + passed])
        return Dataset.from_list(answers)


def _forward_pass(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The answers that go through the network together, each beside the answer to another prompt."""
    answers = [
        {"prompt_ids": row["prompt_ids"], "completion_ids": row[side], "label": is_desirable, "length": row["length"]}
        for side, is_desirable in (("chosen_ids", True), ("rejected_ids", False))
        for row in rows
    ]
    others = [answers[-1], *answers[:-1]]
    return [
        {**answer, "KL_completion_ids": other["completion_ids"]} for answer, other in zip(answers, others, strict=True)
    ]


def _features(example: Example) -> dict[str, Any]:
    return {"prompt_ids": example.prompt, "chosen_ids": example.answers[0], "rejected_ids": example.answers[1]}


def _settings(recipe: Recipe) -> dict[str, Any]:
    return {
        "beta": recipe["beta"],
        "loss_type": recipe["loss_type"],
        "desirable_weight": recipe["desirable_weight"],
        "undesirable_weight": recipe["undesirable_weight"],
        "train_sampling_strategy": "sequential",
        "max_length": None,
    }


METHOD = Method(
    answers=("completion", "rejected"),
    features=_features,
    trainer=AnswerTrainer,
    arguments=KTOConfig,
    settings=_settings,
    reference=True,
    passes=2,
)
