"""Specialists that exist already: nothing is trained, and what is not known is not called matched."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.unit.experiment.checked import ROOT
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.config_errors import ConfigError
from workflow_scripts.experiment.table_of_models import load

EXAMPLE = yaml.safe_load((ROOT / "experiments/specialists.yaml").read_text(encoding="utf-8"))
TOKENIZER = json.dumps({"chat_template": "{% for m in messages %}{{ m.content }}{% endfor %}"})


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The example with its models' folders and files beside it."""
    monkeypatch.chdir(tmp_path)
    shape = {
        "hidden_size": 8,
        "intermediate_size": 8,
        "num_hidden_layers": 1,
        "num_attention_heads": 1,
        "vocab_size": 9,
    }
    for name in ("base", "maths", "chat", "mix"):
        folder = Path("models") / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text(json.dumps({"model_type": "llama", **shape}))
        (folder / "tokenizer_config.json").write_text(TOKENIZER)
        (folder / "model.safetensors").touch()
    for source in EXAMPLE["sources"].values():
        Path(source["file"]).write_text('{"prompt": "How?", "language": "en", "id": "1"}\n')
    return copy.deepcopy(EXAMPLE)


def test_the_example_is_an_experiment_without_a_training(example):
    found = artifacts(load(example))
    stages = {artifact.stage.name for artifact in found.all}
    assert {"load", "merge", "generate", "judge", "table"} <= stages and not {"train", "mixture"} & stages


def test_what_a_loaded_model_learned_from_is_as_its_row_states(example):
    experiment = load(example)
    assert experiment.learned("ties")[1:] == (80000, 0, 21000000, True)
    assert experiment.learned("ties").rows == 40000 and not experiment.learned("mix").is_known
    (table,) = (one for one in artifacts(experiment).all if one.wildcards.get("table") == "table1")
    settings = table.settings.all
    assert settings["learned"]["mix"] == dict.fromkeys(("rows", "examples", "steps", "tokens"))
    assert settings["learned"]["ties"] == {"rows": 40000, "examples": 80000, "steps": None, "tokens": 21000000}
    assert settings["matched"] and all(on == ["unknown"] for *_, on in settings["matched"])


def test_unknown_is_never_matched_because_nothing_equals_nothing(example):
    del example["models"]["maths"]["learned"], example["models"]["chat"]["learned"]
    example["contrasts"]["mix or merge"]["matched"] = "rows"
    with pytest.raises(ConfigError, match="learned from is not known; state `learned` in its row; fix a side"):
        load(example)
