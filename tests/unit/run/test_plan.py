"""`make plan` prints what an experiment costs."""

import json
from pathlib import Path

import yaml

from workflow_scripts.run import plan

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))


def test_the_command_prints_a_table_or_json(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CHECKED))
    plan.main(["--config", "config.yaml"])
    assert "questions to language models" in capsys.readouterr().out
    plan.main(["--config", "config.yaml", "--json", "--gpus", "3"])
    told = json.loads(capsys.readouterr().out)
    assert told["rows"]["trainings"] == {"what": "trainings", "total": 4, "owed": 4}
    assert told["gpus"] == 3
