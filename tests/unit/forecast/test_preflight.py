"""What would fail in a queue is said before anything is queued: all of it, a line each."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import yaml

from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast import preflight, quote
from workflow_scripts.run import session

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
NAME, COMMIT = "CohereLabs/aya-23-8B", "1" * 40
AYA = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 256000, "model_type": "cohere",
}  # fmt: skip


@pytest.fixture(autouse=True)
def cache(own_folder, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(own_folder / "hub"))
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return own_folder / "hub"


def planned(**sections):
    return artifacts(load({**copy.deepcopy(CHECKED), **sections}))


def large(row=None, **sections):
    models = copy.deepcopy(CHECKED["models"])
    del models["init"]
    models["base"] = {"load": NAME, "revision": COMMIT, **(row or {})}
    merging = {**CHECKED["merging"], "slerp": {"method": "slerp", "t": 0.5}}
    return planned(models=models, merging=merging, **sections)


def fill(cache, *files, index=None):
    """Put files into the hub's cache."""
    snapshot = cache / "models--CohereLabs--aya-23-8B" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True, exist_ok=True)
    for file in files:
        (snapshot / file).write_text(json.dumps(AYA))
    if index:
        (snapshot / "model.safetensors.index.json").write_text(json.dumps({"weight_map": index}))


def test_the_miniature_is_ready():
    assert preflight.findings(planned()) == []


def test_a_model_is_ready_once_every_shard_is_in_the_cache(cache):
    def told():
        return [line for line in preflight.findings(large()) if line.startswith("models.base.load")]

    assert len(told()) == 2, "it is not there, and its size is not known"
    assert f"hf download {NAME} --revision {COMMIT}" in told()[0]
    fill(cache, "config.json", "tokenizer.json", index={"a": "1.safetensors", "b": "2.safetensors"})
    (line,) = told()
    assert "1.safetensors, 2.safetensors" in line
    fill(cache, "1.safetensors")
    (line,) = told()
    assert "(2.safetensors)" in line
    fill(cache, "2.safetensors")
    assert told() == []


def test_another_revision_in_the_cache_does_not_count(cache):
    fill(cache, "config.json", "tokenizer.json", "model.safetensors")
    assert list(preflight.hub(large())) == []
    assert len(list(preflight.hub(large({"revision": "2" * 40})))) == 1


def test_with_a_network_nothing_need_be_in_the_cache():
    assert list(preflight.hub(large(machine={"network": True}))) == []


def test_a_judge_whose_key_is_not_set_is_named(monkeypatch):
    made = planned(judges={"gpt": {"model": "openai/gpt-4-turbo"}, "rules": {"model": "mixmerge/rules"}})
    (line,) = preflight.keys(made)
    assert line.startswith("judges.gpt.model: ")
    assert "OPENAI_API_KEY" in line
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert list(preflight.keys(made)) == []


def test_cohere_and_a_server_of_ones_own_are_known(monkeypatch):
    for variable in ("COHERE_API_KEY", "CO_API_KEY", "OLLAMA_API_BASE"):
        monkeypatch.delenv(variable, raising=False)
    served = {"model": "ollama/x", "api_base": "http://localhost:1"}
    made = planned(judges={"own": served}, llms={"cohere": {"model": "cohere_chat/command-r-plus-08-2024"}})
    (line,) = preflight.keys(made)
    assert line.startswith("llms.cohere.model: ")
    assert "COHERE_API_KEY" in line
    monkeypatch.setenv("CO_API_KEY", "secret")
    assert list(preflight.keys(made)) == []


def test_a_training_that_does_not_fit_a_gpu_is_told_what_would():
    lines = preflight.findings(large({"architecture": AYA}, machine={"gpus_per_node": 8, "network": True}))
    assert len([line for line in lines if line.startswith("training.sft")]) == 1, "once for all models"
    (line,) = [line for line in lines if line.startswith("training.sft")]
    assert "what fits" in line


def test_answers_need_room_beside_the_weights():
    machine = {"gpus_per_node": 8, "gpu_memory": 16, "network": True}
    tight = list(preflight.findings(large({"architecture": AYA}, machine=machine)))
    assert [line for line in tight if line.startswith("generation.tensor_parallel")]
    spread = {**CHECKED["generation"], "tensor_parallel": 4}
    wide = preflight.findings(large({"architecture": AYA}, machine=machine, generation=spread))
    assert not [line for line in wide if line.startswith("generation.tensor_parallel")]


def test_more_gpus_than_a_node_has_are_refused():
    spread = {**CHECKED["generation"], "tensor_parallel": 4}
    lines = preflight.findings(planned(machine={"gpus_per_node": 2}, generation=spread))
    assert [line for line in lines if "generation.tensor_parallel: wants 4 GPUs, and a node has 2" in line]


def test_a_disk_without_room_is_named_with_what_is_missing(monkeypatch):
    made = large({"architecture": AYA}, machine={"network": True})
    owed = quote.quote(made).peak_bytes
    free = {"free": owed - 1}
    monkeypatch.setattr(shutil, "disk_usage", lambda path: type("", (), free)())
    (line,) = preflight.disks(made, quote.quote(made))
    assert f"up to {owed / 1e9:.0f} GB" in line
    free["free"] = owed
    assert list(preflight.disks(made, quote.quote(made))) == []


def test_the_disk_that_counts_is_that_of_the_weights(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: asked.append(path) or type("", (), {"free": 1e15})())
    monkeypatch.setenv("SCRATCH", str(tmp_path))
    made = planned(machine={"weights": "$SCRATCH/not/there/yet"})
    assert list(preflight.disks(made, quote.quote(made))) == []
    assert asked == [tmp_path]


def test_everything_is_said_at_once_and_nothing_is_queued():
    made = large(judges={"gpt": {"model": "openai/gpt-4-turbo"}}, budget={"usd": 0})
    with pytest.raises(UserError) as refusal:
        session.check_machines(made)
    keys = [line.split(":")[0] for line in str(refusal.value).splitlines()]
    assert keys == ["models.base.load", "judges.gpt.model", "models.base.load", "budget.usd"]
    assert not Path("results/.lock").exists()


def test_a_bare_local_run_is_asked_nothing(monkeypatch):
    monkeypatch.setattr(preflight, "findings", lambda found: pytest.fail("asked"))
    monkeypatch.setattr(quote, "quote", lambda found: pytest.fail("asked"))
    session.start(planned(), dry_run=False)


def test_the_command_fails_with_the_findings():
    Path("config.yaml").write_text(yaml.safe_dump({**CHECKED, "judges": {"gpt": {"model": "openai/gpt-4-turbo"}}}))
    with pytest.raises(UserError, match="OPENAI_API_KEY"):
        preflight.main(["--config", "config.yaml"])
