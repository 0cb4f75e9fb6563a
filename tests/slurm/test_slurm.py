"""The nano experiment through a real Slurm of one node: the same tables to the digit, and nothing left to do."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from bench.stale.bench import Bench
from bench.stale.run import Run, environment

HERE = Path(__file__).parent
OPTIONS = [
    word for key, value in yaml.safe_load((HERE / "config.yaml").read_text()).items()
    for word in ([f"--{key}"] if value is True else [f"--{key}", str(value)])
]  # fmt: skip


@pytest.fixture(scope="module")
def slurm() -> Iterator[Path]:
    """A Slurm of one node, in a folder of its own."""
    folder = Path(tempfile.mkdtemp(prefix="mixmerge-slurm-"))
    subprocess.run([HERE / "setup.sh", "up", folder], check=True)
    yield folder
    subprocess.run([HERE / "setup.sh", "down", folder], check=True)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def weights() -> Iterator[Path]:
    """A folder for weights on another file system."""
    folder = Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Run:
    root = tmp_path_factory.mktemp("local")
    run = Bench(root, "nano").prepare(root / "run")
    outcome = run.snakemake()
    assert outcome.status == 0, outcome.output
    return run


def submitting(run: Run, slurm: Path, *more: str) -> tuple[int, str]:
    """Run the experiment through Slurm; the status and what was said."""
    path = f"{slurm / 'bin'}:{environment()['PATH']}"
    run.environment |= {"SLURM_CONF": str(slurm / "slurm.conf"), "PATH": path}
    outcome = run.snakemake("--profile", str(run.code / "profiles/slurm"), *OPTIONS, *more)
    return outcome.status, outcome.output


def submitted(slurm: Path) -> dict[str, list[str]]:
    """What Slurm was asked for each job, by rule."""
    env = {**environment(), "SLURM_CONF": str(slurm / "slurm.conf")}
    told = subprocess.run(["scontrol", "-o", "show", "jobs"], env=env, capture_output=True, text=True, check=True)
    jobs: dict[str, list[str]] = {}
    for line in told.stdout.splitlines():
        if rule := re.search(r"Comment=rule_([a-z]+)_", line):
            jobs.setdefault(rule[1], []).append(line)
    return jobs


def test_a_cluster_gives_the_same_results_to_the_digit(local: Run, slurm: Path, weights: Path) -> None:
    root = local.folder.parent
    run = Run(root / "submitted", local.code, {**local.config})
    (run.folder / "data").mkdir(parents=True)
    run.config["machine"] = {"gpus_per_node": 1, "weights": str(weights), "longest": 1}
    status, output = submitting(run, slurm)
    assert status == 0, output
    assert run.rendered() == local.rendered()
    assert run.models() == local.models()
    jobs = submitted(slurm)
    assert {rule: len(lines) for rule, lines in jobs.items()} == {
        "initialise": 1,
        "train": 4,
        "merge": 1,
        "generate": 5,
    }
    for rule, lines in jobs.items():
        asks = ["TresPerJob=gres:gpu:1" in line for line in lines]
        assert all(asks) if rule in ("train", "generate") else not any(asks), f"{rule} and the GPU"
        assert all(re.search(r"MinMemoryNode=\d", line) and "TimeLimit=" in line for line in lines)
    assert all(path.is_symlink() for path in run.results.glob("seed0/models/*/model.safetensors"))
    status, output = submitting(run, slurm)
    assert status == 0, output
    assert "Nothing to be done" in output
    assert sum(map(len, submitted(slurm).values())) == 11


def test_what_is_missing_is_said_before_anything_is_queued(local: Run, slurm: Path) -> None:
    run = Run(local.folder.parent / "unready", local.code, {**local.config})
    (run.folder / "data").mkdir(parents=True)
    run.config["judges"] = {"gpt": {"model": "openai/gpt-4-turbo"}}
    run.config["tables"] = {"contrasts": run.config["tables"]["contrasts"]}
    before = sum(map(len, submitted(slurm).values()))
    status, output = submitting(run, slurm)
    assert status != 0
    assert "judges.gpt.model: openai/gpt-4-turbo wants OPENAI_API_KEY" in output
    assert "Traceback" not in output
    assert sum(map(len, submitted(slurm).values())) == before
