"""What is missing, truncated, of another shape or mistaken is named in one line, and leaves nothing half-written."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.stale import Run
from workflow_scripts.experiment.recipes import Recipes
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.process import job

MODEL = Path("results/nano/seed0/models/mix")


def recipes(run: Run) -> Recipes:
    return Recipes(load(run.config))


def refuses(stage: str, arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a stage refuses."""
    assert job.execute(stage, arguments) == 1
    said = capsys.readouterr().err.strip()
    assert len(said.splitlines()) == 1 and "Traceback" not in said, said
    return said


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.is_file() and not path.is_relative_to("results/.store")]


def truncate(path: Path) -> None:
    whole = path.read_bytes()
    path.unlink()  # a link into the store otherwise
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.parametrize("harm", ["missing", "truncated"])
def test_no_merge_of_a_broken_checkpoint(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    monkeypatch.chdir(nano.folder)
    weights = Path("results/nano/seed0/models/safety/model.safetensors")
    truncate(weights) if harm == "truncated" else weights.unlink()
    parents = [str(weights.parent.with_name(name)) for name in ("general", "safety")]
    arguments = ["--recipe", recipes(nano).model("slerp", 0), "--parents", *parents]
    said = refuses("merge", [*arguments, "--store", "results/.store", "--output", "out"], capsys)
    assert str(weights) in said
    assert not Path("out").exists()


def test_a_truncated_checkpoint_is_refused_before_anything_runs(nano: Run) -> None:
    truncate(nano.results / "seed0/models/mix/model.safetensors")
    outcome = nano.snakemake()
    assert outcome.status == 1
    assert "models/mix/model.safetensors" in outcome.output and "discard" in outcome.output
    assert not outcome.work and not outcome.jobs


@pytest.mark.parametrize(("change", "named"), [("columns", "rejected"), ("truncated", "parquet")])
def test_rows_of_another_shape_are_refused(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], change: str, named: str
) -> None:
    monkeypatch.chdir(nano.folder)
    source = Path("results/nano/data/sources/general.parquet")
    if change == "columns":
        pq.write_table(pq.read_table(source).drop_columns(["rejected"]), source)
    else:
        truncate(source)
    arguments = ["--recipe", recipes(nano).suite("general"), "--source", str(source), "--output", "out/suite.parquet"]
    said = refuses("suite", arguments, capsys)
    assert str(source) in said and named in said
    assert not Path("out").exists() or not hidden(Path("out"))


def test_an_empty_suite_is_refused(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nano.folder)
    source = Path("results/nano/data/sources/general.parquet")
    table = pq.read_table(source)
    pq.write_table(table.slice(0, 0), source)
    arguments = ["--recipe", recipes(nano).suite("general"), "--source", str(source), "--output", "out/suite.parquet"]
    assert "general" in refuses("suite", arguments, capsys)
    assert not Path("out").exists()


def test_scores_of_other_columns_print_no_table(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nano.folder)
    scores = Path("results/nano/seed0/scores/rules/mix/redteam.parquet")
    pq.write_table(pa.table({"verdict": ["harmful"]}), scores)
    arguments = ["--recipe", recipes(nano).table("table1"), "--scores", str(scores), "--output", "out/table1"]
    assert str(scores) in refuses("table", arguments, capsys)
    assert not Path("out").exists()


def test_every_mistake_of_a_config_is_named_at_once(nano: Run) -> None:
    nano.config["mixtures"]["mix"]["parts"] = {"general": 0.75, "safety": 0.5}
    nano.config["models"]["slerp"]["parents"] = ["general", "saftey"]
    nano.config["generation"]["max_new_token"] = 3
    outcome = nano.snakemake("-n")
    assert outcome.status == 1
    assert "Traceback" not in outcome.output
    for named in ("mixtures.mix.parts", "did you mean safety?", "generation.max_new_token"):
        assert named in outcome.output


def test_results_of_an_older_schema_are_refused(nano: Run) -> None:
    (nano.folder / "results/.schema").write_text("0\n")
    outcome = nano.snakemake()
    assert outcome.status == 1
    assert "schema 0" in outcome.output and "Traceback" not in outcome.output
    assert not outcome.work


def test_a_manifest_of_an_older_schema_is_no_parent(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nano.folder)
    manifest = MODEL / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 0}))
    arguments = ["--recipe", recipes(nano).generation("mix"), "--model", str(MODEL), "--store", "results/.store"]
    suites = [f"results/nano/data/suites/{suite}.parquet" for suite in ("general", "redteam")]
    assert "schema 0" in refuses("generate", [*arguments, "--suites", *suites, "--output", "out"], capsys)
    assert not Path("out").exists()
