"""What matters where jobs run on other machines: how many merges lie on the disk, where weights lie, what is spent."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stale.run import Run
from workflow_scripts.models import manifest

pytestmark = pytest.mark.scale

MERGES = [f"slerp-{n}" for n in range(4)]


def with_temporary_merges(run: Run, waiting: int | None) -> None:
    """Give the experiment four more merges, whose weights go once they have answered."""
    run.config["keep_merges"] = False
    run.config["machine"] = {"waiting_merges": waiting}
    for n, name in enumerate(MERGES):
        run.config["merging"][name] = {"method": "slerp", "t": 0.1 + 0.1 * n, "dtype": "float32"}
        run.config["models"][name] = {"merge": name, "parents": ["general", "safety"]}


@pytest.mark.parametrize(("limit", "left", "again"), [(None, 4, 0), (1, 1, 3)])
def test_no_more_temporary_merges_lie_on_the_disk_than_may_wait(
    nano: Run, limit: int | None, left: int, again: int
) -> None:
    """All merges first, as where GPUs are busy: what is beyond the limit goes, and is merged again later."""
    with_temporary_merges(nano, limit)
    manifests = [f"results/nano/seed0/models/{name}/manifest.json" for name in MERGES]
    merged = nano.snakemake(*manifests)
    assert merged.status == 0, merged.output
    tensors = merged.work["merged_tensors"] / len(MERGES)
    store, results = nano.folder / "results/.store", nano.folder / "results"
    waiting = {name: manifest.read(results / f"nano/seed0/models/{name}")["store"] for name in MERGES}
    lying = [name for name, key in waiting.items() if (store / "models" / key / "model.safetensors").exists()]
    assert len(lying) == left
    answered = nano.snakemake()
    assert answered.status == 0, answered.output
    assert answered.work["merged_tensors"] == again * tensors
    assert answered.work["optimizer_steps"] == 0, "no child was trained again"
    assert not [key for key in waiting.values() if (store / "models" / key / "model.safetensors").exists()]
    assert "Nothing to be done" in nano.snakemake("-n").output


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    assert memory.stat().st_dev != tmp_path.stat().st_dev
    yield memory
    shutil.rmtree(memory)


def test_weights_on_another_file_system_give_the_same_results(nano: Run, elsewhere: Path) -> None:
    before, models = nano.rendered(), nano.models()
    nano.config["machine"] = {"weights": str(elsewhere)}
    refused = nano.snakemake()
    assert refused.status != 0
    assert "holds weights already" in refused.output
    for name in ("models", "work"):
        shutil.copytree(nano.folder / "results/.store" / name, elsewhere / name, dirs_exist_ok=True)
        shutil.rmtree(nano.folder / "results/.store" / name)
    assert "Nothing to be done" in nano.snakemake("-n").output
    shutil.rmtree(nano.results / "seed0/models/slerp")
    shutil.rmtree(nano.results / "seed0/models/mix")
    nano.config["merging"]["other"] = {"method": "slerp", "t": 0.3, "dtype": "float32"}
    nano.config["models"]["other"] = {"merge": "other", "parents": ["general", "safety"]}
    outcome = nano.snakemake()
    assert outcome.status == 0, outcome.output
    assert outcome.work["optimizer_steps"] == 0
    assert nano.rendered() == before
    assert {name: nano.models()[name] for name in models} == models
    for name in ("mix", "slerp", "other"):
        file = nano.results / f"seed0/models/{name}/model.safetensors"
        assert file.is_symlink()
        assert not os.path.isabs(os.readlink(file))
        assert file.resolve().is_relative_to(elsewhere.resolve())
    assert "Nothing to be done" in nano.snakemake("-n").output


def test_a_budget_stops_a_run_before_it_starts_and_an_edit_of_it_reruns_nothing(nano: Run) -> None:
    nano.config["budget"] = {"usd": 0.0, "gpu_hours": 0.0}
    assert nano.snakemake().jobs == {}, "what is done costs nothing"
    nano.config["judges"]["gpt"] = {"model": "openai/gpt-4-turbo", "models": ["mix"]}
    stopped = nano.snakemake()
    assert stopped.status != 0
    assert "budget.usd: this run would cost about $" in stopped.output
    assert "Traceback" not in stopped.output
    assert not stopped.jobs["judge"]
    assert not stopped.work
