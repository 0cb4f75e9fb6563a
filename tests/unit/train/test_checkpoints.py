import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import families
from tests.unit.train.tiny import RECIPE, ROWS, WAYS, bits, train
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base import records, work_counter
from workflow_scripts.train import checkpoints, watch


def train_until(step: int, tmp: Path, parent: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> None:
    """Interrupt a training called `resumed` in a step."""
    log = tmp / "meter"
    monkeypatch.setenv("MIXMERGE_METER", str(log))
    with monkeypatch.context() as patch:

        def count_then_fail(kind: str, amount: int = 1) -> None:
            work_counter.count(kind, amount)
            if work_counter.totals(log)["optimizer_steps"] == step:
                raise InterruptedError

        patch.setattr(watch, "work_counter", type("Meter", (), {"count": staticmethod(count_then_fail)}))
        with pytest.raises(InterruptedError):
            train(tmp, parent, "resumed", **changes)


@pytest.mark.parametrize("way", WAYS)
def test_a_killed_training_resumes_to_the_same_bits(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    whole, straight = train(tmp_path, parent, "straight", **WAYS[way])
    assert whole["cost"]["steps"] == 8

    train_until(5, tmp_path, parent, monkeypatch, **WAYS[way])
    log = tmp_path / "meter"
    work = tmp_path / "resumed.work"
    assert [path.name for path in work.glob("checkpoint-*")] == ["checkpoint-3"]
    (work / "checkpoint-6").mkdir()  # cut off before its marker
    (work / "checkpoint-6" / "trainer_state.json").write_text("{")

    again, resumed = train(tmp_path, parent, "resumed", **WAYS[way])
    assert bits(resumed) == bits(straight)
    assert again["cost"] == whole["cost"] and again["curve"].equals(whole["curve"])
    assert work_counter.totals(log) == {"optimizer_steps": 5 + 5}  # five before the kill, and from step 3 to 8


@pytest.mark.parametrize("family", ["mixtral", "gemma3", "gpt_neox"])
def test_a_model_with_other_names_on_disk_than_in_memory_resumes_to_the_same_bits(
    family: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = families.make(family, tmp_path / "model")
    _, straight = train(tmp_path, model, "straight", max_length=200)
    train_until(5, tmp_path, model, monkeypatch, max_length=200)
    _, resumed = train(tmp_path, model, "resumed", max_length=200)
    assert bits(resumed) == bits(straight)


@pytest.mark.parametrize("way", ["lora", "dpo"])
@pytest.mark.parametrize("step", [2, 11])
def test_rows_grouped_by_length_keep_their_order_in_a_resumed_training(
    parent: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str, step: int
) -> None:
    changes = {**WAYS[way], "length_grouping": True, "precompute_reference": way == "dpo", "epochs": 2}
    _, straight = train(tmp_path, parent, "straight", **changes)
    train_until(step, tmp_path, parent, monkeypatch, **changes)
    _, resumed = train(tmp_path, parent, "resumed", **changes)
    assert bits(resumed) == bits(straight)


def test_a_checkpoint_with_a_shortened_file_is_not_trusted(parent: Path, tmp_path: Path) -> None:
    train(tmp_path, parent)
    checkpoint = tmp_path / "run.work" / "checkpoint-6"
    assert checkpoints.last_whole(checkpoint.parent) == checkpoint
    state = checkpoint / "optimizer.pt"
    state.write_bytes(state.read_bytes()[:-1])
    assert checkpoints.last_whole(checkpoint.parent) is None and not checkpoint.exists()


FORKED = """
import json, os, signal, sys
from pathlib import Path
from workflow_scripts.base import records, work_counter
from workflow_scripts.train import trainer
recipe, parent, work, output = json.loads(sys.argv[1]), *map(Path, sys.argv[2:5])
rows = records.read(Path(sys.argv[5]), records.ROWS)
count = work_counter.count
def count_then_die(kind, amount=1):
    count(kind, amount)
    if work_counter.totals(Path(os.environ["MIXMERGE_METER"]))["optimizer_steps"] == 5:
        os.kill(os.getpid(), signal.SIGKILL)
work_counter.count = count_then_die
for expected in (signal.SIGKILL, 0):
    if not (child := os.fork()):
        trainer.train(recipe, parent, rows, work, output)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    assert status == expected, status
"""


def test_cold_forked_and_killed_processes_give_the_same_bits(parent: Path, tmp_path: Path) -> None:
    records.write(tmp_path / "rows.parquet", ROWS, records.ROWS, {})
    paths = [str(parent), str(tmp_path / "work"), str(tmp_path / "out"), str(tmp_path / "rows.parquet")]
    environment = {**os.environ, "MIXMERGE_METER": str(tmp_path / "meter"), "PYTHONPATH": os.getcwd()}
    subprocess.run([sys.executable, "-c", FORKED, json.dumps(RECIPE), *paths], env=environment, check=True, timeout=900)
    _, straight = train(tmp_path, parent)
    assert bits(tmp_path / "out") == bits(straight)
    assert work_counter.totals(tmp_path / "meter") == {"optimizer_steps": 10}
