"""The paper's data in nano, through Snakemake: datasets, a translation, splits that hold, licences on every table."""

import csv
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.stale.bench import Bench
from bench.stale.run import Run
from tests import tiny_nllb
from tests.openai_server import OpenAIServer
from workflow_scripts.base import records

pytestmark = pytest.mark.scale

ROOT = Path(__file__).parents[2]
LICENCES = {"ultrafeedback": "MIT", "nllb": "CC-BY-NC-4.0"}


def verdict(body: dict) -> str:
    told = body["messages"][-1]["content"]
    if "RESPONSE_A" in told:
        return '{"winner": "A"}'
    return '{"verdict": "harmful"}' if len(told) % 3 else '{"verdict": "refused"}'


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    root = tmp_path_factory.mktemp("published")
    run = Bench(root, "published").prepare(root / "run")
    shutil.copytree(ROOT / "tests/fixtures", run.folder / "fixtures")
    tiny_nllb.make(run.folder / "nllb")
    with OpenAIServer(answer=verdict) as server:
        run.config["judges"]["fake"]["api_base"] = server.url
        run.environment["OPENAI_API_KEY"] = "sk-proj-0123456789abcdef"
        outcome = run.snakemake()
        assert outcome.status == 0, outcome.output
        run.outcome = outcome
        yield run


def lineage(run: Run, path: str) -> dict:
    return records.lineage(run.results / path)


def test_nothing_is_left_to_do(finished: Run) -> None:
    outcome = finished.snakemake("-n")
    assert "Nothing to be done" in outcome.output, outcome.output


def test_translations_stand_beside_their_originals_and_keep_code(finished: Run) -> None:
    rows = records.read(finished.results / "data/sources/general.parquet", records.ROWS).to_pylist()
    by_prompt: dict[str, dict[str, dict]] = {}
    for row in rows:
        by_prompt.setdefault(row["source_prompt_id"], {})[row["language"]] = row
    assert len(by_prompt) == 24 and all(set(found) == {"en", "hi"} for found in by_prompt.values())
    coded = [found for found in by_prompt.values() if "```" in found["en"]["completion"]]
    for found in coded:
        fence = found["en"]["completion"].split("```")[1]
        assert fence in found["hi"]["completion"]
    assert finished.outcome.work["translated"] > 0


def test_splits_hold_across_sources_and_what_n_is_after_them_is_stated(finished: Run) -> None:
    read = {
        name: records.read(finished.results / f"data/sources/{name}.parquet", records.ROWS).to_pylist()
        for name in ("redteam-en", "redteam-paper", "redteam-native")
    }
    splits: dict[str, set[str]] = {}
    for row in (row for rows in read.values() for row in rows):
        splits.setdefault(row["source_prompt_id"], set()).add(row["split"])
    assert all(len(found) == 1 for found in splits.values()) and len(splits) > 40
    for name, rows in read.items():
        counts = lineage(finished, f"data/sources/{name}.parquet")["counts"]
        assert sum(n for spoken in counts["rows"].values() for n in spoken.values()) == len(rows)
    assert lineage(finished, "data/sources/redteam-en.parquet")["counts"]["left_out"] == {"duplicate": 1}


def test_licences_roll_up_to_mixtures_models_scores_and_tables(finished: Run) -> None:
    assert lineage(finished, "data/mixtures/mix.parquet")["licences"] == LICENCES
    for model in ("init", "base", "dpo"):
        manifest = json.loads((finished.results / f"seed0/models/{model}/manifest.json").read_text())
        assert manifest["licences"] == LICENCES
    scores = lineage(finished, "seed0/scores/fake/dpo/redteam-native.parquet")["licences"]
    assert scores == {**LICENCES, "redteam-native": "Apache-2.0"}
    table = (finished.results / "tables/table1.md").read_text()
    assert (
        "Data under: Apache-2.0 (dolly, redteam-en, redteam-native); CC-BY-4.0 (benign); CC-BY-NC-4.0 (nllb)" in table
    )
    assert "MIT (ultrafeedback)" in table
    with (finished.results / "tables/table1.csv").open() as file:
        assert {line["licences"] for line in csv.DictReader(file)} == {"Apache-2.0; CC-BY-4.0; CC-BY-NC-4.0; MIT"}
    assert "CC-BY-4.0 (benign, polyguard)" in (finished.results / "tables/judges.tex").read_text()


def copy(finished: Run, tmp_path: Path) -> Run:
    shutil.copytree(finished.folder, tmp_path / "run", symlinks=True)
    return Run(tmp_path / "run", finished.code, json.loads(json.dumps(finished.config)), finished.environment)


def test_a_breach_stops_the_run_in_one_line_before_a_training_is_paid(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path)
    run.config["sources"]["mine"] = {"file": "mine.jsonl"}
    prompts = records.read(run.results / "data/suites/redteam-native.parquet", records.ROWS).to_pylist()
    rows = [{"prompt": row["prompt"].upper(), "language": row["language"], "completion": "No ."} for row in prompts]
    (run.folder / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    run.config["mixtures"]["mix"] = {"per_language": 10, "parts": {"general": 0.5, "mine": 0.5}}
    outcome = run.snakemake()
    assert outcome.status == 1 and not outcome.work["optimizer_steps"] and not outcome.jobs["train"], outcome.output
    (log,) = (run.folder / "logs/published").glob("overlap.log")
    told = log.read_text().strip()
    assert len(told.splitlines()) == 1
    assert (
        "suite 'redteam-native' and mixture 'mix' (and 1 more such pairs) have 10 prompts in common (10 by whole;"
        in told
    )
    found = records.read(run.results / "data/overlap-breach.parquet", records.OVERLAP)
    assert len(found) == 15 and (run.results / "seed0/models/base/model.safetensors").exists()


def test_a_suite_that_comes_later_is_checked_and_no_training_is_redone(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path)
    run.config["suites"]["more"] = {"source": "dolly", "per_language": 2, "languages": ["hi"], "metric": "preference"}
    outcome = run.snakemake()
    assert outcome.status == 0, outcome.output
    assert outcome.jobs["overlap"] == 1 and not outcome.jobs["train"] and not outcome.work["translated"]
    run.config["suites"]["bad"] = {"source": "ultrafeedback", "split": "train", "languages": ["en"], "metric": "harm"}
    outcome = run.snakemake()
    assert outcome.status == 1 and not outcome.jobs["generate"]
    assert "24 prompts in common" in (run.folder / "logs/published/overlap.log").read_text()


def test_another_limit_translates_only_what_is_new(finished: Run, tmp_path: Path) -> None:
    run = copy(finished, tmp_path)
    run.config["sources"]["ultrafeedback"]["limit"] = 25
    outcome = run.snakemake("results/published/data/sources/general.parquet")
    assert outcome.status == 0, outcome.output
    assert 0 < outcome.work["translated"] < finished.outcome.work["translated"] / 4
    run.config["sources"]["ultrafeedback"]["limit"] = 24
    run.config["translators"]["nllb"]["batch_size"] = 3
    outcome = run.snakemake("results/published/data/sources/general.parquet")
    assert outcome.status == 0 and not outcome.work["translated"]
