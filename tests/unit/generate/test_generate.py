"""The command that has a model answer: what its files say of the model."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import job
from tests.unit.train.tiny import table
from workflow_scripts.base import records
from workflow_scripts.generate import generate
from workflow_scripts.generate.engines._base import Completion
from workflow_scripts.models import manifest
from workflow_scripts.store.outputs import write_rows

SETTINGS = {"engine": "transformers", "max_new_tokens": 8, "max_model_len": 40}


class Engine:
    """Reasons about every prompt."""

    def generate(self, prompts: list[str]) -> list[Completion]:
        return [Completion(f"Hm.</think>{prompt}!", "stop", 3, 5) for prompt in prompts]


@pytest.mark.parametrize("marked", [{}, {"reasoning": {"rule": "think", "is_open": True}}])
def test_answers_are_kept_whole_and_their_file_says_how_they_mark_reasoning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, marked: dict[str, Any]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(generate, "_engine", lambda *_: Engine())
    folder, suite = Path("results/x/seed0/models/m"), Path("results/x/data/suites/s.parquet")
    folder.mkdir(parents=True)
    described = {"schema": manifest.SCHEMA_VERSION, "model": "m", "trainings": {}, "made_by": {}, "licences": {}}
    described |= {"recipe": {"stage": "load"}, "files": {}, **marked}
    (folder / "manifest.json").write_text(json.dumps(described))
    write_rows(job("suite", {"rows": [suite]}), suite, table(["a", "b"], [None] * 2, [None] * 2), records.ROWS)
    answers = Path("results/x/seed0/generations/m/s.parquet")
    one = job(
        "generate",
        {"answers": [answers]},
        {"manifest": [folder / "manifest.json"], "suites": [suite]},
        SETTINGS,
        {"model": "m", "suites": ["s"]},
    )
    generate.make(one)
    assert records.read(answers, records.GENERATIONS)["completion"].to_pylist() == ["Hm.</think>a!", "Hm.</think>b!"]
    assert records.lineage(answers).get("reasoning") == marked.get("reasoning")
