"""What the Snakemake workflow catalog and snakedeploy take from the repository is there, and says what holds."""

import json
import os
import re
from pathlib import Path

import pytest
import yaml

from workflow_scripts.experiment.table_of_models import load

ROOT = Path(__file__).parents[3]
README = (ROOT / "config/README.md").read_text(encoding="utf-8")
EXAMPLE, PROFILE = (yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", README, re.S))


def test_the_minimal_example_is_an_experiment(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shape = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    Path("my-model").mkdir()
    Path("my-model/config.json").write_text(json.dumps({"model_type": "llama", "vocab_size": 9, **shape}))
    Path("my-model/model.safetensors").touch()
    for source in EXAMPLE["sources"].values():
        Path(source["file"]).write_text('{"prompt": "How?", "language": "en"}\n')
    assert load(EXAMPLE).models.keys() == {"base", "sft-both", "sft-general", "sft-safety", "merged"}


def test_every_section_of_the_config_is_named():
    known = json.loads((ROOT / "config.schema.json").read_text(encoding="utf-8"))["properties"]
    (table,) = re.findall(r"## Sections\n(.*?)\n\n", README, re.S)
    named = re.findall(r"`(\w+)`", "\n".join(line.split("|")[1] for line in table.splitlines()))
    assert sorted(named) == sorted(known)


def test_the_profile_for_users_of_a_module_is_ours():
    ours = yaml.safe_load((ROOT / "profiles/default/config.yaml").read_text(encoding="utf-8"))
    assert {**ours, **PROFILE} == ours and ours.keys() - PROFILE.keys() == {"scheduler"}


@pytest.mark.parametrize(("link", "target"), [("config/config.yaml", "config.yaml"), ("workflow/profiles", "profiles")])
def test_what_the_standard_wants_elsewhere_is_there_once(link, target):
    assert (ROOT / link).is_symlink() and not os.path.isabs(os.readlink(ROOT / link))
    assert (ROOT / link).samefile(ROOT / target)


def test_the_catalog_is_told_how_the_workflow_is_used():
    settings = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text(encoding="utf-8"))
    assert settings["usage"].keys() == {"mandatory-flags", "software-stack-deployment", "report"}
    assert settings["usage"]["mandatory-flags"].keys() == {"desc", "flags"}
    assert settings["usage"]["software-stack-deployment"]["conda"] is True


def test_the_environment_of_conda_is_the_lock():
    environment = yaml.safe_load((ROOT / "envs/mixmerge.yaml").read_text(encoding="utf-8"))
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    assert environment["dependencies"][-1]["pip"] == [line for line in lock if not line.startswith("#")]
