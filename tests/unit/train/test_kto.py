"""KTO (arXiv 2402.01306): answers one by one, against the gain of mismatched pairs."""

from pathlib import Path
from typing import Any

import pytest
import torch

from tests.unit.train.tiny import LORA, ROWS, bits, log_probabilities, losses, table, train
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.train.methods import kto

KTO = {"method": "kto", "loss_type": "kto", "batch_size": 32, "logging_steps": 1}


def items(rows: int, passed: int) -> list[dict[str, Any]]:
    """What the trainer's dataset consists of, for rows whose tokens are their numbers."""

    class Arguments:
        per_device_train_batch_size, data_seed = 2 * passed, 3

    trainer = object.__new__(kto.AnswerTrainer)
    given = [{"prompt_ids": [i], "chosen_ids": [100 + i], "rejected_ids": [200 + i], "length": 3} for i in range(rows)]
    return list(trainer._prepare_dataset(given, None, Arguments))


@pytest.mark.parametrize(("rows", "passed"), [(12, 4), (10, 4), (7, 2)])
def test_every_answer_comes_once_and_beside_the_answer_to_another_prompt(rows: int, passed: int) -> None:
    found = items(rows, passed)
    answers = sorted(item["completion_ids"][0] for item in found)
    assert answers == [*range(100, 100 + rows), *range(200, 200 + rows)]
    for first in range(0, len(found), 2 * passed):
        together = found[first : first + 2 * passed]
        labels = [item["label"] for item in together]
        assert labels == sorted(labels, reverse=True) and sum(labels) == len(labels) / 2
        others = sorted(item["KL_completion_ids"][0] for item in together)
        assert others == sorted(item["completion_ids"][0] for item in together), "the same answers, set against others"
        if len(together) > 2:
            assert all(item["KL_completion_ids"][0] % 100 != item["prompt_ids"][0] for item in together)


def test_rows_come_in_an_order_of_the_seed() -> None:
    assert [item["prompt_ids"][0] for item in items(12, 12)][:12] != sorted(range(12))
    assert items(12, 4) == items(12, 4)


@pytest.mark.parametrize("loss_type", ["kto", "apo_zero_unpaired"])
def test_the_loss_of_a_step_is_that_of_the_papers_formula(parent: Path, tmp_path: Path, loss_type: str) -> None:
    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.5, "beta": 0.3}
    changes = {**KTO, **weights, "loss_type": loss_type}
    _, first = train(tmp_path, parent, "first", max_steps=1, **changes)
    result, _ = train(tmp_path, parent, "second", max_steps=2, **changes)
    gains = {
        column: log_probabilities(first, ROWS, column)[0] - log_probabilities(parent, ROWS, column)[0]
        for column in ("completion", "rejected")
    }
    mismatched = torch.tensor(0.0)
    if loss_type == "kto":
        order = [item["prompt_ids"] for item in items(32, 32)][:32]
        rows = [ROWS.to_pylist()[number] for (number,) in order]
        answers = [(row["prompt"], row["completion"]) for row in rows] + [
            (row["prompt"], row["rejected"]) for row in rows
        ]
        prompts, said = zip(*answers, strict=True)
        other = table(list(prompts), [said[-1], *said[:-1]], [None] * 64)
        gain = log_probabilities(first, other, "completion")[0] - log_probabilities(parent, other, "completion")[0]
        mismatched = gain.mean().clamp(min=0)
    if loss_type == "kto":
        desirable = 1 - torch.sigmoid(0.3 * (gains["completion"] - mismatched))
        undesirable = 1 - torch.sigmoid(0.3 * (mismatched - gains["rejected"]))
    else:
        desirable, undesirable = 1 - torch.sigmoid(0.3 * gains["completion"]), torch.sigmoid(0.3 * gains["rejected"])
    expected = float(torch.cat([1.5 * desirable, 0.5 * undesirable]).mean())
    assert losses(result)[1] == pytest.approx(0.5 * (1.5 + 0.5) / 2, abs=1e-5)
    assert losses(result)[2] == pytest.approx(expected, abs=1e-5)


def test_cost_counts_rows_as_the_other_methods_do(parent: Path, tmp_path: Path) -> None:
    result, _ = train(tmp_path, parent, **{**KTO, "batch_size": 8}, epochs=2)
    assert result["cost"]["rows"] == 32 and result["cost"]["examples"] == 64 and result["cost"]["steps"] == 8


@pytest.mark.parametrize("lora", [None, LORA])
def test_a_killed_training_goes_on_where_it_was(parent: Path, tmp_path: Path, lora: dict | None) -> None:
    changes = {**KTO, "batch_size": 8, "save_steps": 1, "lora": lora}
    _, whole = train(tmp_path, parent, "whole", **changes)
    train(tmp_path, parent, "part", **changes, max_steps=2)
    (tmp_path / "part.work").rename(tmp_path / "again.work")
    _, again = train(tmp_path, parent, "again", **changes)
    assert bits(again) == bits(whole)
