"""Several processes learn what one does; what differs is the order of sums."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file

from tests.processes import descendants, is_alive, wait_for
from tests.unit.train.tiny import ARCHITECTURE, LORA, RECIPE, ROWS, bits, losses
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base import records, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.train import launch, random_model, trainer

pytestmark = pytest.mark.scale

TOLERANCE = 1e-5  # of every logged number and every weight, absolute; 5e-7 was the largest seen
STEADY = {**LORA, "dropout": 0.0}  # a dropout's draws belong to a process
COMMON = {**RECIPE, "batch_size": 8, "logging_steps": 1, "save_steps": 2, "processes": 2}
TOGETHER: dict[str, dict[str, Any]] = {
    "sft-ddp": {"parallel": "ddp"},
    "sft-fsdp": {"parallel": "fsdp"},
    "sft-lora-fsdp": {"parallel": "fsdp", "lora": STEADY},
    "dpo-ddp": {"parallel": "ddp", "method": "dpo", "accumulation": 2},
    "dpo-fsdp": {"parallel": "fsdp", "method": "dpo"},
    "dpo-fsdp-precomputed": {"parallel": "fsdp", "method": "dpo", "precompute_reference": True},
    "dpo-lora-ddp-precomputed": {"parallel": "ddp", "method": "dpo", "lora": STEADY, "precompute_reference": True},
}
KILLED = {f"{name}, killed": TOGETHER[name] for name in ("sft-ddp", "dpo-fsdp-precomputed")}


class Done:
    """A training in several processes, and where it lies."""

    def __init__(self, folder: Path, parent: Path, settings: dict, rows: pa.Table = ROWS, **order: Any) -> None:
        self.recipe = {**COMMON, **settings}
        self.work, self.output, self.exchange = folder / "work", folder / "out", folder / "work" / "launch"
        self.exchange.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, self.exchange / launch.ROWS)
        paths = {"parent": str(parent), "work": str(self.work), "output": str(self.output)}
        (self.exchange / launch.ORDER).write_text(json.dumps({"recipe": self.recipe, **paths, **order}))

    @property
    def result(self) -> dict:
        result = json.loads((self.exchange / launch.RESULT).read_text())
        return {**result, "curve": records.read(self.exchange / launch.CURVE, records.CURVE)}

    @property
    def error(self) -> str:
        return (self.exchange / launch.ERROR).read_text()

    @property
    def checkpoints(self) -> list[str]:
        return sorted(path.name for path in self.work.glob("checkpoint-*"))


def run(trainings: list[Done]) -> None:
    """One Python start for all of them."""
    environment = {**os.environ, "PYTHONPATH": os.getcwd(), "OMP_NUM_THREADS": "1"}
    folders = [str(training.exchange) for training in trainings]
    subprocess.run([sys.executable, "tests/unit/train/ranks.py", *folders], check=True, env=environment, timeout=900)


@pytest.fixture(scope="module")
def done(parent: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    folder = tmp_path_factory.mktemp("together")
    whole = {name: Done(folder / name, parent, settings) for name, settings in TOGETHER.items()}
    killed = {name: Done(folder / name, parent, settings, steps=3) for name, settings in KILLED.items()}
    wide = {**ARCHITECTURE, "intermediate_size": 100_000}  # 150 MB in float32, so two models, gradients and states: 750
    random_model.initialise({"architecture": wide, "seed": 0}, ROWS, folder / "wide")
    one = {"processes": 1, "method": "dpo", "batch_size": 32}
    wrong = {
        "diverges": Done(folder / "diverges", parent, {"parallel": "fsdp", "learning_rate": 1e30}),
        "wants memory": Done(folder / "wants memory", folder / "wide", one, room=500_000_000),
    }
    run([*whole.values(), *killed.values(), *wrong.values()])
    return {**whole, **killed, **wrong}


@pytest.mark.parametrize("name", TOGETHER)
def test_two_processes_learn_what_one_does(done: dict[str, Done], parent: Path, tmp_path: Path, name: str) -> None:
    together = done[name]
    settings = {**together.recipe, "processes": 1, "precompute_reference": False}
    alone = trainer.train(settings, parent, ROWS, tmp_path / "work", tmp_path / "alone")
    assert together.result["cost"] == alone["cost"] and together.result["truncated"] == 0
    for one, two in zip(alone["curve"].to_pylist(), together.result["curve"].to_pylist(), strict=True):
        assert (one["step"], one["metric"]) == (two["step"], two["metric"])
        assert two["value"] == pytest.approx(one["value"], abs=TOLERANCE), one
    weights = load_file(together.output / "model.safetensors")
    started = load_file(parent / "model.safetensors")
    for tensor, expected in load_file(tmp_path / "alone" / "model.safetensors").items():
        torch.testing.assert_close(weights[tensor], expected, atol=TOLERANCE, rtol=0)
    assert any((weights[tensor] - started[tensor]).abs().max() > 100 * TOLERANCE for tensor in weights)


def test_fully_sharded_checkpoints_are_written_by_every_rank(done: dict[str, Done]) -> None:
    parts = {path.name for path in done["sft-fsdp"].work.glob("checkpoint-*/optimizer_0/*.distcp")}
    assert parts == {"__0_0.distcp", "__1_0.distcp"}
    assert not list(done["sft-ddp"].work.glob("checkpoint-*/**/*.distcp"))


@pytest.mark.parametrize("name", KILLED)
def test_a_killed_rank_takes_the_others_along_and_resumes_to_the_same_bits(done: dict[str, Done], name: str) -> None:
    killed, whole = done[name], done[name.removesuffix(", killed")]
    assert killed.checkpoints == ["checkpoint-2"] and not killed.output.exists()
    again = Done(
        killed.work.parent, Path(json.loads((killed.exchange / launch.ORDER).read_text())["parent"]), killed.recipe
    )
    run([again])
    assert bits(again.output) == bits(whole.output)
    assert again.result["cost"] == whole.result["cost"] and again.result["curve"].equals(whole.result["curve"])


def test_an_error_in_words_comes_from_the_ranks(done: dict[str, Done]) -> None:
    assert "lower learning_rate" in done["diverges"].error


def test_where_memory_runs_out_an_error_says_what_to_change(done: dict[str, Done]) -> None:
    error = done["wants memory"].error
    for way in ("out of memory", "batch_size", "gradient_checkpointing: true", "lora", "more processes"):
        assert way in error
    assert len(error.splitlines()) == 1


STAGE = """
import json, sys
from pathlib import Path
import pyarrow.parquet as pq
from workflow_scripts.train import launch
order = json.loads(Path(sys.argv[1]).read_text())
rows = pq.read_table(sys.argv[2])
launch.train(order["recipe"], *(Path(order[name]) if name else rows for name in ("parent", "", "work", "output")))
"""


def test_the_launchers_processes_die_with_the_stage_and_the_next_launch_goes_on(
    done: dict[str, Done], parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    settings = {**TOGETHER["sft-ddp"], "epochs": 400}  # long enough to be killed
    order = Done(tmp_path / "killed", parent, settings)
    (tmp_path / "order.json").write_bytes((order.exchange / launch.ORDER).read_bytes())
    (tmp_path / "rows.parquet").write_bytes((order.exchange / launch.ROWS).read_bytes())
    command = [sys.executable, "-c", STAGE, str(tmp_path / "order.json"), str(tmp_path / "rows.parquet")]
    stage = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": os.getcwd()})
    wait_for(lambda: work_counter.totals(tmp_path / "meter")["optimizer_steps"] >= 5 or stage.poll() is not None)
    family = descendants(stage.pid)
    assert len(family) == 3, "the launcher and two ranks"
    stage.send_signal(signal.SIGKILL)
    stage.wait()
    wait_for(lambda: not any(map(is_alive, family)))
    assert order.checkpoints, "what was whole stays"

    recipe = {**order.recipe, "epochs": 1}  # ended by now: the weights of its checkpoint are written
    result = launch.train(recipe, parent, ROWS, tmp_path / "fresh", tmp_path / "out")
    assert bits(tmp_path / "out") == bits(done["sft-ddp"].output)
    assert losses(result) == losses(done["sft-ddp"].result)


def test_the_launcher_passes_on_the_error_of_a_rank(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(command: list[str], **_: Any) -> subprocess.CompletedProcess:
        (Path(command[-1]) / launch.ERROR).write_text("row r0: no completion; fix the source")
        return subprocess.CompletedProcess(command, 1)

    monkeypatch.setattr(launch.subprocess, "run", start)
    with pytest.raises(UserError, match="row r0: no completion"):
        launch.train(COMMON, parent, ROWS, tmp_path / "work", tmp_path / "out")
    monkeypatch.setattr(launch.subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 7))
    with pytest.raises(UserError, match="status 7"):
        launch.train(COMMON, parent, ROWS, tmp_path / "work", tmp_path / "out")


def test_a_recipe_for_several_processes_is_not_trained_by_one(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="processes: 2, but 1 started"):
        trainer.train(COMMON, parent, ROWS, tmp_path / "work", tmp_path / "out")
