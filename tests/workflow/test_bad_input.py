"""What is missing, truncated, of another shape or mistaken is named in one line, and leaves nothing half-written."""

import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bench.stale.run import Run
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.process import job

MODEL = Path("results/nano/seed0/models/mix")


def refuses(run: Run, capsys: pytest.CaptureFixture[str], stage: str, **wildcards: str) -> str:
    """The one line with which a stage refuses to make an artifact, which it would write to `out`."""
    found = artifacts(load(run.config)).of(stage, {"experiment": "nano", **wildcards}).job
    outputs = {role: [Path("out") / path.name for path in paths] for role, paths in found.outputs.items()}
    asked = dataclasses.replace(found, outputs=outputs, record=Path("out/execution.json"))
    Path("job.json").write_text(asked.text())
    assert job.execute(found.recipe.stage, ["job.json"]) == 1
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
    assert str(weights) in refuses(nano, capsys, "merge", seed="0", model="slerp")
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
    said = refuses(nano, capsys, "suite", suite="general")
    assert str(source) in said and named in said
    assert not Path("out").exists() or not hidden(Path("out"))


def test_an_empty_suite_is_refused(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nano.folder)
    source = Path("results/nano/data/sources/general.parquet")
    table = pq.read_table(source)
    pq.write_table(table.slice(0, 0), source)
    assert "general" in refuses(nano, capsys, "suite", suite="general")
    assert not Path("out").exists()


def test_scores_of_other_columns_print_no_table(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nano.folder)
    scores = Path("results/nano/seed0/scores/rules/mix/redteam.parquet")
    pq.write_table(pa.table({"verdict": ["harmful"]}), scores)
    assert str(scores) in refuses(nano, capsys, "table", table="table1")
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


def test_a_manifest_of_an_older_schema_is_no_parent(
    nano: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(nano.folder)
    manifest = MODEL / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "schema": 0}))
    assert "schema 0" in refuses(nano, capsys, "generate", seed="0", model="mix")
    assert not Path("out").exists()


# What is refused before anything runs, when the Snakefile is parsed


def one_line(run: Run, *more: str) -> str:
    """The one line with which a run refuses; Snakemake's own about its profile is not counted."""
    outcome = run.snakemake(*more)
    said = [line for line in outcome.output.splitlines() if not line.startswith("Using ")]
    assert outcome.status == 1 and len(said) == 1 and not outcome.work, outcome.output
    return said[0]


def test_a_key_that_stands_twice_is_named_with_its_lines(nano: Run) -> None:
    text = nano.write_config().read_text()
    (nano.folder / "twice.yaml").write_text(f"{text}baseline: mix\n")
    said = one_line(nano, "--configfile", "twice.yaml")
    assert "twice.yaml: key 'baseline'" in said and f"line {text.count(chr(10)) + 1}" in said


@pytest.mark.parametrize(
    ("content", "named"),
    [(None, "no such file"), (b"experiment: \xff\n", "line 1 is not UTF-8"), (b"- a", "not a table of keys")],
)
def test_a_config_that_cannot_be_read_is_one_line_before_snakemake_sees_it(
    finished_nano: Run, content: bytes | None, named: str, tmp_path: Path
) -> None:
    """As `make demo` looks at it first: Snakemake itself ends in a traceback for a missing --configfile."""
    if content is not None:
        (tmp_path / "bad.yaml").write_bytes(content)
    with pytest.raises(RuntimeError, match=f"mixmerge preflight: .*bad.yaml: .*{named}") as refused:
        Run(tmp_path, finished_nano.code, {}).command("preflight", "--config", "bad.yaml")
    assert len(str(refused.value).strip().splitlines()) == 1


def test_results_of_the_previous_layout_are_refused_and_left_alone(nano: Run) -> None:
    (nano.folder / "results/.schema").write_text("1\n")
    before = contents(nano.folder / "results")
    assert "another layout" in (said := one_line(nano)) and "move results/ away" in said
    assert contents(nano.folder / "results") == before


def contents(folder: Path) -> dict[str, tuple[int, int]]:
    """Size and time of every file."""
    files = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {str(path): ((found := path.stat()).st_size, found.st_mtime_ns) for path in files}


def missing(lock: Path) -> None:
    lock.unlink()


def with_conflict(lock: Path) -> None:
    lock.write_text(lock.read_text().replace(' "mixture"', '<<<<<<< ours\n "mixture"'))


def edited_by_hand(lock: Path) -> None:
    lock.write_text(lock.read_text().replace('"mixture": {"results": "', '"mixture": {"results": "by hand '))


def not_whole(lock: Path) -> None:
    lock.write_text(lock.read_text()[:-20])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        (missing, "no such file"),
        (with_conflict, "conflict markers"),
        (edited_by_hand, "mixture has no fingerprints"),
        (not_whole, "is not as `make lock-code` writes it"),
    ],
)
def test_a_lock_that_cannot_be_read_is_refused(nano: Run, damage: Callable[[Path], None], named: str) -> None:
    nano.code = Path(shutil.copytree(nano.code, nano.folder / "code"))
    damage(nano.code / "code.lock")
    assert one_line(nano).startswith("code.lock: ") and named in one_line(nano)


def test_a_broken_kept_file_is_refused(nano: Run) -> None:
    (nano.results / "kept.json").write_text('{"kept": {')
    said = one_line(nano)
    assert "results/nano/kept.json" in said and "make keep" in said


@pytest.mark.parametrize("command", [["keep", "--config", "config.yaml", "--keep"], ["lock_code", "--new"]])
def test_an_unknown_unit_is_named_with_those_that_there_are(nano: Run, command: list[str]) -> None:
    with pytest.raises(RuntimeError, match=r"no unit fits 'train:spo'; there are .*train:dpo"):
        nano.command(*command, "train:spo")


def test_a_lock_that_cannot_be_read_is_refused_where_nothing_was_made_yet(nano: Run) -> None:
    nano.code = Path(shutil.copytree(nano.code, nano.folder / "code"))
    missing(nano.code / "code.lock")
    shutil.rmtree(nano.folder / "results")
    assert "code.lock: no such file" in one_line(nano, "-n")
