"""What jobs ask for follows from the model's size, the stage and the machine, and changes no recipe."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast import resources
from workflow_scripts.forecast.resources import Requirements
from workflow_scripts.models.architecture import SHAPE

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
AYA = {
    "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 256000, "torch_dtype": "float16",
}  # fmt: skip
GPUS = {"gpus_per_node": 8, "training": 1000, "generation": 1000, "merging": 1}
COMMIT = "0" * 40


def experiment(**sections):
    return load({**copy.deepcopy(CHECKED), **sections})


def large(machine=GPUS, **row):
    """The same experiment from a model of the hub."""
    models = copy.deepcopy(CHECKED["models"])
    del models["init"]
    models["base"] = {"load": "CohereLabs/aya-23-8B", "revision": COMMIT, **row}
    merging = {**CHECKED["merging"], "slerp": {"method": "slerp", "t": 0.5, "dtype": "bfloat16"}}
    return experiment(models=models, merging=merging, machine=machine)


def test_without_a_machine_nobody_asks_for_a_gpu():
    asked = Requirements(experiment())
    jobs = [("initialise", "init"), ("train", "mix"), ("merge", "slerp"), ("generate", "mix")]
    assert [asked.of(*job).gpu for job in jobs] == [0, 0, 0, 0]
    assert all(asked.of(*job).mem_mb > 0 and asked.of(*job).runtime > 0 for job in jobs)


def test_only_trainings_and_answers_hold_gpus():
    exp = experiment(machine=GPUS, generation={**CHECKED["generation"], "tensor_parallel": 4})
    asked = Requirements(exp)
    assert asked.gpus("train", "mix") == 1
    assert asked.gpus("generate", "mix") == 4
    assert asked.gpus("merge", "slerp") == asked.gpus("initialise", "init") == 0


def test_a_larger_model_asks_for_more_of_everything():
    small, big = Requirements(experiment(machine=GPUS)), Requirements(large(architecture=AYA))
    assert big.weights("mix") == 2 * 8_028_033_024
    assert big.disk("train", "mix") > 100e9, "two checkpoints with AdamW's states in float32"
    for stage, model in (("train", "mix"), ("merge", "slerp")):
        assert all(a < b for a, b in zip(small.of(stage, model)[1:], big.of(stage, model)[1:], strict=True) if a != b)
        assert small.of(stage, model) != big.of(stage, model)


def test_time_follows_the_stated_throughput_and_ends_at_the_longest_a_job_may_run():
    slow = Requirements(large({**GPUS, "training": 10}, architecture=AYA))
    fast = Requirements(large({**GPUS, "training": 20}, architecture=AYA))
    assert slow.hours("train", "mix") == 2 * fast.hours("train", "mix")
    stopped = Requirements(large({**GPUS, "training": 0.01, "longest": 4}, architecture=AYA))
    unknown = Requirements(large({**GPUS, "training": None, "longest": 4}, architecture=AYA))
    assert stopped.of("train", "mix").runtime == unknown.of("train", "mix").runtime == 240


def artifact(exp, stage, model):
    (found,) = (one for one in artifacts(exp).all if (one.stage.name, one.wildcards.get("model")) == (stage, model))
    return found


def test_another_attempt_asks_for_more_memory_alone():
    exp = experiment()
    asked, training = Requirements(exp), artifact(exp, "train", "mix")
    first, second = asked.needs(training), asked.needs(training, attempt=3)
    assert first == asked.of("train", "mix")._asdict()
    assert second.pop("mem_mb") == 2 * first.pop("mem_mb")
    assert first == second


def test_a_job_that_finds_its_work_in_the_store_asks_for_no_gpu_and_a_minute(monkeypatch):
    exp = large(architecture=AYA)
    asked, training = Requirements(exp), artifact(exp, "train", "mix")
    assert asked.needs(training)["gpu"] == 1 and asked.needs(training)["runtime"] > 1
    monkeypatch.setattr(resources.kept, "in_store", lambda job: job is training)
    found = Requirements(exp)
    looked = found.needs(training, looks=True)
    assert (looked["gpu"], looked["runtime"]) == (0, 1)
    assert found.needs(training)["gpu"] == 1, "only a run looks"
    assert found.needs(artifact(exp, "train", "general"), looks=True)["gpu"] == 1


def test_a_job_of_every_stage_that_asks_for_something_can_be_sized(tmp_path):
    exp = experiment(machine=GPUS)
    for one in artifacts(exp).all:
        if one.stage.command in ("initialise", "train", "merge", "generate"):
            assert Requirements(exp).needs(one).keys() == set(resources.Needs._fields)


def test_a_temporary_merge_needs_disk_for_its_answers_too():
    kept, gone = experiment(), experiment(keep_merges=False)
    assert Requirements(kept).of("generate", "slerp").disk_mb == 0
    assert Requirements(gone).of("generate", "slerp").disk_mb == Requirements(gone).of("merge", "slerp").disk_mb > 0
    assert Requirements(gone).of("generate", "mix").disk_mb == 0


def test_weights_keep_the_type_of_what_they_come_from():
    asked = Requirements(large(architecture=AYA))
    assert [asked.dtype(name) for name in ("base", "mix", "slerp")] == ["float16", "float16", "float16"]
    assert Requirements(experiment()).dtype("mix") == "float32"


def test_the_size_of_a_hub_model_is_read_from_its_cache(tmp_path, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    exp = large()
    (line,) = Requirements(exp).unknown()
    assert line.startswith("models.base.load: ")
    assert "`architecture`" in line
    assert Requirements(exp).of("train", "mix").gpu == 1, "the plan still stands"
    snapshot = tmp_path / "models--CohereLabs--aya-23-8B" / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(AYA))
    asked = Requirements(exp)
    assert asked.unknown() == []
    assert asked.weights("base") == 2 * 8_028_033_024


def test_a_declared_shape_that_is_not_whole_is_a_mistake():
    with pytest.raises(Exception, match=r"models\.base\.architecture: .*vocab_size"):
        large(architecture={key: AYA[key] for key in SHAPE - {"vocab_size"}})


def test_the_machine_the_lengths_and_the_budget_are_in_no_recipe():
    other = {"machine": GPUS, "lengths": {"answer": 7}, "budget": {"usd": 1, "gpu_hours": 1}}
    for one, another in zip(artifacts(experiment()).all, artifacts(experiment(**other)).all, strict=True):
        assert one.recipe == another.recipe
