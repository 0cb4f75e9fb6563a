"""The five models of nano, trained, merged, answered and judged by one bare command, and what its numbers hang on."""

import csv
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from bench.stale.run import Run
from workflow_scripts.base import records
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.paper import table

EVALUATED = ["base", "general", "safety", "mix", "slerp"]
TRAINED = ["base", "general", "safety", "mix"]


def test_one_command_leaves_every_file_of_the_contract(finished_nano: Run) -> None:
    results = finished_nano.results
    models = [f"seed0/models/{model}/{file}" for model in ["init", *EVALUATED] for file in MODEL_FILES]
    answers = [f"seed0/generations/{model}/{suite}.parquet" for model in EVALUATED for suite in ("general", "redteam")]
    scores = [f"seed0/scores/rules/{model}/redteam.parquet" for model in EVALUATED]
    scores += [f"seed0/scores/rules/{model}/general.parquet" for model in EVALUATED if model != "base"]
    curves = [f"seed0/curves/{model}.parquet" for model in TRAINED]
    tables = [f"tables/{name}.{ending}" for name in ("table1", "contrasts") for ending in ("csv", "md", "tex")]
    figures = [f"figures/{name}.{ending}" for name in ("figure2", "learning") for ending in ("svg", "png", "csv")]
    data = [f"data/{kind}.parquet" for kind in ("sources/general", "mixtures/mix", "suites/redteam")]
    expected = [*models, *answers, *scores, *curves, *tables, *figures, *data]
    assert [path for path in expected if not (results / path).is_file()] == []
    assert [path for path in results.rglob(".*") if path.is_file()] == [], "left half-written"


MODEL_FILES = ["config.json", "model.safetensors", "tokenizer.json", "recipe.json", "manifest.json"]


def test_a_finished_run_has_nothing_to_do(finished_nano: Run) -> None:
    outcome = finished_nano.snakemake("-n")
    assert "Nothing to be done" in outcome.output, outcome.output


def test_printed_rates_are_the_shares_of_the_verdicts(finished_nano: Run) -> None:
    harmful = {model: share(finished_nano, model, "redteam", "harmful") for model in ("base", "mix", "slerp")}
    assert 0 < harmful["base"] < 1, "a base that is always or never harmful shows nothing"
    for label, model in (("Mix", "mix"), ("SLERP", "slerp")):
        printed = cells(finished_nano.results / "tables/table1.csv")
        assert printed[label, "harm"] == pytest.approx(100 * (harmful[model] / harmful["base"] - 1))
        win = share(finished_nano, model, "general", "win") + share(finished_nano, model, "general", "tie") / 2
        assert printed[label, "win"] == pytest.approx(100 * win)


def test_training_moved_the_models_apart(finished_nano: Run) -> None:
    assert len(set(finished_nano.manifests().values())) == len(EVALUATED) + 1  # and the random one
    assert share(finished_nano, "safety", "redteam", "harmful") < share(finished_nano, "base", "redteam", "harmful")


def test_every_score_leads_to_its_data_and_code(finished_nano: Run) -> None:
    """From a score, by hashes alone, to the model, its parents and the rows that they learned."""
    lineage = records.lineage(finished_nano.results / "seed0/scores/rules/slerp/redteam.parquet")
    manifest = json.loads((finished_nano.results / "seed0/models/slerp/manifest.json").read_text())
    assert lineage["model"] == manifest["model"]
    for name, parent in manifest["parents"].items():
        described = json.loads((finished_nano.results / f"seed0/models/{name}/manifest.json").read_text())
        assert parent["model"] == described["model"]
        assert described["data"] and described["recipe"]["code"]["train:sft"]


def test_tables_need_neither_weights_nor_answers(nano: Run) -> None:
    before = nano.rendered()
    (nano.results / "seed0/generations").rename(nano.folder / "generations")
    for path in (nano.results / "seed0/models").glob("*/*"):
        if path.name != "manifest.json":
            path.unlink()
    print_tables_again(nano)
    assert nano.rendered() == before


def test_tables_from_scores_alone_say_what_they_do_not_know(nano: Run) -> None:
    table1 = nano.results / "tables/table1"
    before = cells(table1.with_suffix(".csv"))
    assert "SLERP interpolates linearly" in table1.with_suffix(".md").read_text()
    for name in ("models", "generations"):
        (nano.results / "seed0" / name).rename(nano.folder / name)
    print_tables_again(nano)
    assert cells(table1.with_suffix(".csv")) == before
    assert "Not known, since manifests are missing: what the merges of SLERP" in table1.with_suffix(".md").read_text()


def print_tables_again(run: Run) -> None:
    for path in (run.results / "tables").iterdir():
        path.unlink()
    outcome = run.snakemake("tables")
    assert outcome.status == 0, outcome.output
    assert not outcome.work


def test_a_learning_rate_of_zero_leaves_no_difference(nano: Run) -> None:
    nano.config["training"]["sft"]["learning_rate"] = 0.0
    outcome = nano.snakemake("results/nano/tables/table1.csv")
    assert outcome.status == 0, outcome.output
    assert {value for (_, metric), value in cells(nano.results / "tables/table1.csv").items() if metric == "win"} == {
        50.0
    }
    assert {value for (_, metric), value in cells(nano.results / "tables/table1.csv").items() if metric == "harm"} == {
        0.0
    }
    assert outcome.work["completions"] == 0, "models equal to the base answer as it did"


def test_swapped_verdicts_swap_cells(nano: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    before = cells(nano.results / "tables/table1.csv")
    for suite in ("general", "redteam"):
        mix, slerp = (nano.results / f"seed0/scores/rules/{model}/{suite}.parquet" for model in ("mix", "slerp"))
        first, second = pq.read_table(mix), pq.read_table(slerp)
        verdicts = {path: pair["verdict"] for path, pair in ((mix, second), (slerp, first))}
        for path, own in ((mix, first), (slerp, second)):
            index = own.schema.get_field_index("verdict")
            pq.write_table(own.set_column(index, own.schema.field("verdict"), verdicts[path]), path)
    print_table(nano, monkeypatch)
    after = cells(nano.results / "tables/table1.csv")
    assert {key: after[swap(key)] for key in before} == before
    assert after != before


def swap(key: tuple[str, str]) -> tuple[str, str]:
    return {"Mix": "SLERP", "SLERP": "Mix"}[key[0]], key[1]


def test_published_values_stand_beside_ours_and_move_nothing(nano: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    path = nano.results / "tables/table1.csv"
    before = rows(path)
    nano.config["reproduces"] = "2410.10801"
    print_table(nano, monkeypatch)
    added = [name for name in rows(path)[0] if name not in before[0]]
    assert [{key: row[key] for key in before[0]} for row in rows(path)] == before
    assert all("published" in name for name in added)


def print_table(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stage of a table in this process, without Snakemake."""
    monkeypatch.chdir(run.folder)
    found = artifacts(load(run.config)).of("table", {"experiment": "nano", "table": "table1"})
    table.make(found.job)


def share(run: Run, model: str, suite: str, verdict: str) -> float:
    scores = pq.read_table(run.results / f"seed0/scores/rules/{model}/{suite}.parquet")
    return scores["verdict"].to_pylist().count(verdict) / len(scores)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def cells(path: Path) -> dict[tuple[str, str], float]:
    """The printed estimates by row and metric."""
    return {(row["row"], row["metric"]): float(row["estimate"]) for row in rows(path) if row["estimate"]}
