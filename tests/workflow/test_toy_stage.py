"""A stage is an entry in the list of artifacts, a rule and a command: three files, and everything knows of it."""

import json
import shutil
from pathlib import Path

import pytest

from bench.stale.bench import Bench
from bench.stale.run import Run

STAGE = '''"""How many rows the mixtures have: a toy."""

from collections.abc import Iterator
from functools import partial

from workflow_scripts.experiment.stages._base import Entry, Place, settings_of, stage
from workflow_scripts.experiment.stages._places import MIXTURE
from workflow_scripts.experiment.table_of_models import Experiment


@stage("toy", "rows of {mixture}", {"number": Place("toys/{mixture}.json")}, work="paper.toy:count")
def toy(experiment: Experiment) -> Iterator[Entry]:
    """The number of rows of a mixture."""
    for name in experiment.config.mixtures:
        settings = partial(settings_of, experiment.config.bootstrap)
        yield Entry({"mixture": name}, settings, {"rows": [MIXTURE(mixture=name)]}, {"mixture": name})


STAGES = [toy]
'''
RULE = '''

rule toy:
    """Count the rows of a mixture."""
    input:
        unpack(inputs_of("toy")),
    output:
        **outputs_of("toy"),
    log:
        log_of("toy"),
    wildcard_constraints:
        **only("toy"),
    localrule: True
    conda:
        "../envs/mixmerge.yaml"
    params:
        **params_of("toy"),
    shell:
        "python -m workflow_scripts toy {params.job} > {log} 2>&1"
'''
COMMAND = '''"""Command: how many rows a mixture has."""

from workflow_scripts.base import records
from workflow_scripts.base.job import Job
from workflow_scripts.store.outputs import write_json


def count(rows):
    """The number of rows."""
    return len(rows)


def make(job: Job) -> None:
    """Make what a job is about."""
    found = count(records.read(job.file("rows"), records.MIXTURE))
    write_json(job, job.output("number"), rows=found, resamples=job.settings["resamples"])
'''
FILES = {"workflow_scripts/experiment/stages/toy.py": STAGE, "workflow_scripts/paper/toy.py": COMMAND}
MIXTURES = 4
TARGET = "results/nano/toys/mix.json"


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Nano where nothing has run, and a copy of the code."""
    root = tmp_path_factory.mktemp("toy")
    return Bench(root, "nano").prepare(root / "run")


@pytest.fixture(scope="module")
def jobs_before(before: Run) -> int:
    """Jobs of the experiment without the toy."""
    return quoted(before)["total"]


@pytest.fixture(scope="module")
def run(before: Run, jobs_before: int) -> Run:
    """The same with a toy stage, of which one artifact was made."""
    for name, text in FILES.items():
        (before.code / name).write_text(text)
    with (before.code / "rules/paper.smk").open("a") as rules:
        rules.write(RULE)
    outcome = before.snakemake("-n")
    assert outcome.status == 0 and outcome.jobs["toy"] == MIXTURES, f"planned: {outcome.output}"
    outcome = before.snakemake(TARGET)
    assert outcome.status == 0 and outcome.jobs["toy"] == 1, outcome.output
    return before


def quoted(run: Run) -> dict[str, int]:
    """What `make plan` says of jobs."""
    return dict(json.loads(run.command("plan", "--config", "config.yaml", "--json"))["rows"]["jobs"])


def test_it_is_made_with_its_recipe_and_a_record(run: Run) -> None:
    made = json.loads((run.folder / TARGET).read_text())
    assert (made["rows"], made["resamples"]) == (128, 200)
    assert made["recipe"]["settings"] == {"resamples": 200} and made["recipe"]["inputs"] == {"mixture": "mix"}
    assert made["recipe"]["code"].keys() == {"toy"}
    assert json.loads((run.results / "toys/mix.execution.json").read_text())["seconds"] > 0
    assert (run.folder / "logs/nano/toy/mix.log").exists()


def test_it_is_quoted_and_what_is_done_is_not_owed(run: Run, jobs_before: int) -> None:
    jobs = quoted(run)
    assert jobs["total"] == jobs_before + MIXTURES
    made = {path.stem for path in (run.results / "toys").glob("*.json")} - {"mix.execution"}
    assert made == {"mix"} and jobs["owed"] == jobs["total"] - 4, "two sources, a mixture and its toy are there"


def test_it_is_stale_and_explained_when_its_setting_changes_and_then_made_again(run: Run) -> None:
    assert "Nothing to be done" in run.snakemake("-n", TARGET).output
    run.config["bootstrap"]["resamples"] = 300
    try:
        explained = run.command("why", "--config", "config.yaml")
        where = explained.index("toy rows of mix\n")
        assert explained[where:].splitlines()[1].strip() == "because resamples went from 200 to 300"
        outcome = run.snakemake(TARGET)
        assert outcome.jobs["toy"] == 1 and not outcome.jobs["mixture"], outcome.output
        assert json.loads((run.folder / TARGET).read_text())["resamples"] == 300
    finally:
        run.config["bootstrap"]["resamples"] = 200


def test_it_is_restored_when_it_is_deleted(run: Run) -> None:
    assert run.snakemake(TARGET).status == 0
    content = (run.folder / TARGET).read_text()
    (run.folder / TARGET).unlink()
    outcome = run.snakemake(TARGET)
    assert outcome.jobs["toy"] == 1 and not outcome.jobs["mixture"], outcome.output
    assert (run.folder / TARGET).read_text() == content


def test_it_is_kept_by_gc_and_its_leftovers_are_named_when_it_is_taken_out(run: Run) -> None:
    kept = run.command("gc", "--config", "config.yaml")
    assert "toys" not in kept, kept
    for name in FILES:
        (run.code / name).rename(run.folder / Path(name).parent.name)
    try:
        named = run.command("gc", "--config", "config.yaml")
        assert "results/nano/toys\n" in named, named
    finally:
        for name in FILES:
            shutil.move(run.folder / Path(name).parent.name, run.code / name)
