"""What counts is what decides which rows a step sees, and how much each weighs."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file

from tests.unit.train import rows_seen
from tests.unit.train.test_launch import Done, run
from tests.unit.train.tiny import ARCHITECTURE, LORA, RECIPE, train
from workflow_scripts.config.fields import declared
from workflow_scripts.config.training import DpoLoss, Training
from workflow_scripts.train import execution, random_model

TOLERANCE = 1e-4  # of a weight, where only sums are in another order; 2.8e-5 was the largest seen
COMMON = {**RECIPE, "epochs": 2, "batch_size": 8}
GROUPED, DPO = {"length_grouping": True}, {"method": "dpo"}
KINDS: dict[str, dict[str, Any]] = {
    "sft": {},
    "sft, lora": {"lora": {**LORA, "dropout": 0.0}},
    "sft, grouped": GROUPED,
    "sft, packed": {"packing": True},
    "dpo": DPO,
    "dpo, grouped": {**DPO, **GROUPED},
    "dpo, aot": {**DPO, "loss_type": "aot"},
}
CHANGES: list[dict[str, Any]] = [
    {"accumulation": 2},
    {"accumulation": 4},
    {"threads": 2, "gradient_checkpointing": True, "save_steps": 2, "logging_steps": 5},
    {"precompute_reference": True},
]


@pytest.fixture(scope="module")
def parent(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "init"
    random_model.initialise({"architecture": ARCHITECTURE, "seed": 0}, rows_seen.ROWS, path)
    return path


def counts(settings: dict, rows: int | None) -> set[str]:
    return execution.counting({**COMMON, **settings}, rows)


def in_recipe(settings: dict, rows: int) -> dict:
    """What a recipe holds of execution: what counts, but for its neutral value."""
    return {name: settings[name] for name in counts(settings, rows) if settings[name] not in (1, False)}


def farthest(one: Path, other: Path) -> float:
    tensors = load_file(other / "model.safetensors")
    return max(float((t - tensors[name]).abs().max()) for name, t in load_file(one / "model.safetensors").items())


@pytest.mark.parametrize(("kind", "rows"), [("dpo", 24), *((kind, 30) for kind in KINDS)])  # 30: the last batch has 6
def test_what_does_not_count_leaves_each_step_its_rows(parent: Path, tmp_path: Path, kind: str, rows: int) -> None:
    base = {**COMMON, **KINDS[kind]}
    changes = [{}, *(change for change in CHANGES if base["method"] == "dpo" or "precompute_reference" not in change)]
    seen, outputs = [], []
    for index, change in enumerate(changes):
        with pytest.MonkeyPatch.context() as patch:
            rows_seen.record(tmp_path / "seen" / str(index), patch)
            _, output = train(tmp_path, parent, str(index), rows_seen.ROWS.slice(0, rows), **{**base, **change})
        seen.append(rows_seen.by_step(tmp_path / "seen" / str(index), parent))
        outputs.append(output)
    assert len(seen[0]) >= 6 or base["packing"]
    for change, seen_here, output in zip(changes, seen, outputs, strict=True):
        assert seen_here == seen[0], change
        is_same = farthest(output, outputs[0]) < TOLERANCE
        assert is_same == (in_recipe({**base, **change}, rows) == in_recipe(base, rows)), change


TOGETHER: dict[str, tuple[dict[str, Any], int]] = {
    "whole batches": ({}, 24),
    "whole batches, accumulated": ({"accumulation": 2}, 24),
    "whole batches, fsdp": ({"parallel": "fsdp"}, 24),
    "whole batches, dpo": ({**DPO, "precompute_reference": True}, 24),
    "a part of a batch": ({}, 30),
    "grouped": (GROUPED, 24),
    "grouped, accumulated": ({**GROUPED, "accumulation": 2}, 24),
    "packed": ({"packing": True}, 24),
}


@pytest.mark.scale
def test_two_processes_see_the_same_rows_where_they_do_not_count(parent: Path, tmp_path: Path) -> None:
    trainings = {}
    for name, (settings, rows) in TOGETHER.items():
        recipe = {**COMMON, **settings, "processes": 2}
        trainings[name] = Done(
            tmp_path / name, parent, recipe, rows=rows_seen.ROWS.slice(0, rows), record=str(tmp_path / name / "seen")
        )
    run(list(trainings.values()))
    found = {name: rows_seen.by_step(tmp_path / name / "seen", parent) for name in TOGETHER}
    alone = {}
    for name, (settings, rows) in TOGETHER.items():
        with pytest.MonkeyPatch.context() as patch:
            rows_seen.record(tmp_path / "alone" / name, patch)
            train(tmp_path, parent, f"{name}, alone", rows_seen.ROWS.slice(0, rows), **{**COMMON, **settings})
        alone[name] = rows_seen.by_step(tmp_path / "alone" / name, parent)
    does_count = {name: "processes" in counts({**s, "processes": 2}, rows) for name, (s, rows) in TOGETHER.items()}
    assert does_count == {name: not name.startswith("whole") for name in TOGETHER}
    for name in TOGETHER:
        assert does_count[name] or found[name] == alone[name], name
    for name in ("a part of a batch", "grouped"):
        assert found[name] != alone[name], name
    assert found["grouped"] == found["grouped, accumulated"]
    assert found["a part of a batch"][3].total() == 8, "rows of the epoch's beginning fill its last step"


@pytest.mark.parametrize(
    ("settings", "rows", "expected"),
    [
        ({}, None, set()),
        ({"accumulation": 8}, 30, set()),
        ({"processes": 2}, 24, set()),
        ({"processes": 2}, 30, {"processes", "accumulation"}),
        ({"processes": 2}, None, {"processes", "accumulation"}),
        ({"processes": 2, "packing": True}, 24, {"processes", "accumulation"}),
        ({"length_grouping": True}, 24, {"processes"}),
        ({"method": "dpo", "accumulation": 2}, 24, set()),
        ({"method": "dpo", "accumulation": 2}, 27, set()),  # the last step is one forward pass
        ({"method": "dpo", "accumulation": 2}, 30, {"accumulation"}),
        ({"method": "dpo", "accumulation": 2}, None, {"accumulation"}),
        ({"method": "dpo", "loss_type": "aot"}, 24, {"processes", "accumulation"}),
        ({"method": "of tomorrow"}, 24, execution.SETTINGS),
    ],
)
def test_what_counts(settings: dict, rows: int | None, expected: set[str]) -> None:
    assert counts(settings, rows) == expected


@pytest.mark.parametrize("loss", DpoLoss.__args__)
def test_only_one_loss_looks_at_more_than_a_pair(parent: Path, tmp_path: Path, loss: str) -> None:
    base = {**COMMON, **DPO, "loss_type": loss, "max_steps": 2}
    outputs = [train(tmp_path, parent, f"{a}", rows_seen.ROWS, **{**base, "accumulation": a})[1] for a in (1, 4)]
    assert (farthest(*outputs) < TOLERANCE) == (not counts({**base, "accumulation": 4}, len(rows_seen.ROWS)))


def test_every_setting_of_execution_is_judged_and_nothing_heavy_is_imported() -> None:
    fields = Training.model_fields.items()
    assert {name for name, field in fields if declared(field).decides == "execution"} == execution.SETTINGS
    code = "import sys, workflow_scripts.train.execution; assert not {'torch', 'transformers', 'trl'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", code], check=True)
