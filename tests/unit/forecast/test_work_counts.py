"""How much work an experiment is: counted in the data where they lie, else by the config."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.finished import prompts
from workflow_scripts.base import records
from workflow_scripts.data import source
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast import work_counts

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def experiment(**sections):
    return load({**copy.deepcopy(CHECKED), **sections})


def test_a_pair_of_dpo_counts_both_sides_and_the_reference():
    sft = work_counts.learning(load(CHECKED), "mix")
    raw = copy.deepcopy(CHECKED)
    raw["models"]["mix"]["train"] = "dpo"
    dpo = work_counts.learning(load(raw), "mix")
    assert dpo.examples == sft.examples
    assert dpo.tokens == pytest.approx(sft.tokens * 2 * 4 / 3)


def test_prompts_are_counted_where_they_lie(tmp_path):
    exp = experiment()
    assert work_counts.prompts(exp, "general") == 20
    records.write(Path("results/checked/data/suites/general.parquet"), prompts(13), records.ROWS, {})
    assert work_counts.prompts(exp, "general") == 13


def test_prompts_of_a_users_file_are_counted_in_it_and_it_is_read_once(monkeypatch):
    rows = [{"prompt": f"p {n}", "language": "en", "split": "test"} for n in range(7)]
    Path("mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    made = experiment(
        sources={**CHECKED["sources"], "redteam": {"file": "mine.jsonl"}},
        suites={**CHECKED["suites"], "redteam": {"source": "redteam", "metric": "harm", "languages": ["en"]}},
    )
    reads: list[Path] = []
    read = source.rows
    monkeypatch.setattr(source, "rows", lambda work, file: reads.append(file) or read(work, file))
    assert work_counts.prompts(made, "redteam") == 7
    assert work_counts.answers(made) == 7 + 20
    assert reads == [Path("mine.jsonl")]


def test_a_dataset_of_the_hub_is_counted_before_it_is_at_hand():
    raw = yaml.safe_load((Path(__file__).parents[3] / "experiments/aya23-8b.yaml").read_text(encoding="utf-8"))
    config = load(raw).config
    languages = config.languages
    expected = work_counts.expected
    assert expected(config, "dolly", languages, "test") == 6 * 200
    assert expected(config, "redteam-english", ["en"], "test") == round(0.4 * 987)
    assert expected(config, "redteam-translated", languages, "test") == 6 * round(0.4 * 987)
    assert expected(config, "redteam", languages, "test") == round(0.4 * 5404)
    assert expected(config, "general", languages, "train") == 6 * 10_000
    assert expected(config, "safety", languages, "train") is None  # what a synthesis yields, nobody knows
