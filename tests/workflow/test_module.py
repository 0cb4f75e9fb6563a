"""mixmerge as a module of another workflow: its rules run there, alone in results/, and nothing costly unasked."""

import json
import subprocess
import time
from pathlib import Path

import pytest

from bench.stale.patches.code import version
from bench.stale.run import Run

SNAKEFILE = """
configfile: "config.yaml"

module mixmerge:
    snakefile: {snakefile}
    config: config

use rule * from mixmerge as mm_*

rule rows:
    default_target: True
    input:
        "results/nano/data/mixtures/mix.parquet", "results/nano/data/suites/redteam.parquet",

rule slow:
    input:
        rules.rows.input,
    output:
        "slow.txt",
    shell:
        "exec > /dev/null 2>&1; sleep 60; touch {{output}}"
"""
DEPLOYED = """
configfile: "config/config.yaml"

module mixmerge:
    snakefile: github("lab/mixmerge", path="workflow/Snakefile", tag="v1")
    config: config

use rule * from mixmerge
"""  # as snakedeploy writes it
FORMAT = """
from workflow_scripts.data.formats import Format, Part


def row(raw, language):
    return {"key": raw["number"], "prompt": raw["question"]}  # a comment


FORMAT = Format("MIT", {"en": (Part(None, "train"),)}, {"number": "an id", "question": "text"}, row)
"""
ROBOTS = "results/nano/data/sources/robots.parquet"


def as_module(run: Run, snakefile: str | None = None) -> Run:
    """Another workflow around the experiment, in its folder."""
    place = run.folder / "other"
    place.mkdir()
    (place / "Snakefile").write_text(SNAKEFILE.format(snakefile=snakefile or f'"{run.code}/Snakefile"'))
    return Run(run.folder, place, run.config, run.environment)


@pytest.fixture
def new(finished_nano: Run, tmp_path: Path) -> Run:
    """The experiment with nothing made yet."""
    (tmp_path / "run").mkdir()
    return Run(tmp_path / "run", finished_nano.code, json.loads(json.dumps(finished_nano.config)))


@pytest.fixture
def other(new: Run) -> Run:
    """A workflow with nothing made yet."""
    return as_module(new)


@pytest.fixture(scope="session")
def hosted(finished_nano: Run, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which github.com has the code as lab/mixmerge, at tag v1, and Snakemake has fetched nothing."""
    root = tmp_path_factory.mktemp("hosted")
    (root / "lab").mkdir()
    git = ["git", "-C", str(finished_nano.code), "-c", "user.name=x", "-c", "user.email=x@y", f"--git-dir={root}/made"]
    for command in (["init", "--quiet"], ["add", "."], ["commit", "--quiet", "-m", "x"], ["tag", "v1"]):
        subprocess.run([*git, f"--work-tree={finished_nano.code}", *command], check=True)
    subprocess.run(["git", "clone", "--quiet", "--bare", f"{root}/made", f"{root}/lab/mixmerge"], check=True)
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{root}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "XDG_CACHE_HOME": f"{root}/cache",
    }


@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_its_rules_run_with_a_prefix(new: Run, snakefile: str) -> None:
    other = as_module(new, f'"{new.code}/{snakefile}"')
    outcome = other.snakemake()
    assert outcome.status == 0, outcome.output
    assert outcome.jobs == {"mm_source": 3, "mm_mixture": 1, "mm_suite": 1, "rows": 1}
    assert "Nothing to be done" in other.snakemake("-n").output


def test_the_snakefile_of_the_catalog_is_the_same_workflow(new: Run) -> None:
    standard = Run(new.folder, new.code / "workflow", new.config)
    ours, theirs = new.snakemake("-n"), standard.snakemake("-n")
    assert ours.jobs == theirs.jobs and sum(ours.jobs.values()) > 50, theirs.output
    assert "profiles/default for setting" in theirs.output


def test_a_deployed_workflow_takes_code_from_a_tag_and_a_format_from_beside_its_config(
    new: Run, hosted: dict[str, str]
) -> None:
    """As `snakedeploy deploy-workflow` lays it out: the config in config/, the rules on GitHub."""
    deployed = Run(new.folder, new.folder / "workflow", new.config, hosted)
    for name in ("workflow", "config/formats", "robots"):
        (new.folder / name).mkdir(parents=True)
    (new.folder / "workflow/Snakefile").write_text(DEPLOYED)
    mine = new.folder / "config/formats/robots.py"
    mine.write_text(FORMAT)
    (new.folder / "robots/train.jsonl").write_text(
        '{"number": 0, "question": "How?"}\n{"number": 1, "question": "So?"}\n'
    )
    new.config["sources"]["robots"] = {"dataset": "robots", "format": "robots"}
    (new.folder / "config/config.yaml").symlink_to(new.write_config())
    made = deployed.snakemake(ROBOTS)
    assert made.status == 0, made.output
    assert made.jobs == {"dataset": 1}
    assert sum(deployed.snakemake("-n").jobs.values()) > 50, "rule all is what is made where nothing is named"
    mine.write_text(FORMAT.replace("a comment", "another comment"))
    assert "Nothing to be done" in deployed.snakemake(ROBOTS, "-n").output
    mine.write_text(FORMAT.replace('raw["question"]', 'raw["question"].lower()'))
    edited = deployed.snakemake(ROBOTS)
    assert edited.jobs == {"dataset": 1} and "formats/robots.py=" in edited.output, edited.output
    mine.write_text(FORMAT.replace('raw["question"]', 'raw["answer"]'))
    assert deployed.snakemake(ROBOTS).status == 1
    (line,) = (new.folder / "logs/nano/dataset/robots.log").read_text().splitlines()
    assert line.endswith(f"robots (train): row 1: {mine}, line 6: KeyError: 'answer'; fix it")
    mine.write_text(FORMAT.replace("Format(", "Formed("))
    refused = deployed.snakemake(ROBOTS)
    assert refused.status == 1 and "sources.robots.format: " in refused.output and "Traceback" not in refused.output


def test_a_package_that_is_missing_where_snakemake_runs_is_one_line_that_says_what_to_install(new: Run) -> None:
    stub = new.folder / "stub/pyarrow.py"
    stub.parent.mkdir()
    stub.write_text("raise ModuleNotFoundError('no pyarrow', name='pyarrow')")
    refused = Run(new.folder, new.code, new.config, {"PYTHONPATH": str(stub.parent)}).snakemake()
    line = f"pyarrow: is not installed where Snakemake runs; pip install -r {new.code.resolve()}/requirements.lock\n"
    assert refused.status == 1 and line in refused.output and "Traceback" not in refused.output


def test_a_second_run_is_refused_while_the_first_is_alive(other: Run) -> None:
    first = other.start(other.folder / "first.meter", "slow.txt")
    try:
        while not (other.folder / "results/.lock").exists() and first.poll() is None:
            time.sleep(0.05)
        second = other.snakemake("rows")
    finally:
        first.kill()
        first.communicate()
    assert second.status == 1 and "another run is at work" in second.output
    assert "Traceback" not in second.output and not second.jobs


def test_a_run_above_its_budget_is_refused_before_anything_runs(other: Run) -> None:
    other.config["budget"] = {"usd": 0.0}
    other.config["judges"]["gpt"] = {"model": "openai/gpt-4-turbo", "models": ["mix"]}
    refused = other.snakemake()
    assert refused.status == 1 and "budget.usd: this run would cost about $" in refused.output
    assert "Traceback" not in refused.output and not refused.jobs and not refused.work


def test_it_asks_before_finished_work_is_redone_for_a_version(nano: Run) -> None:
    nano.config["machine"] = {"ask_above": {"gpu_hours": 0, "cpu_hours": 0, "usd": 0}}
    version("trl", "99.0")(nano)
    asked = as_module(nano).snakemake("mm_all")
    assert asked.status == 1 and "make keep" in asked.output and "trl" in asked.output
    assert "Traceback" not in asked.output and not asked.jobs
