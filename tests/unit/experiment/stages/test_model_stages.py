"""What models are made of, and what of a training's execution counts."""

import copy

import pytest

from tests.unit.experiment.everything import BEFORE, CHECKED, edited, named
from workflow_scripts.config.models import Train
from workflow_scripts.experiment.table_of_models import load


def training(name="mix", **settings):
    raw = copy.deepcopy(CHECKED)
    raw["training"]["sft" if name == "mix" else "dpo"] |= settings
    return named(raw)[f"model {name} 0"]


def test_how_devices_work_together_counts_only_where_steps_see_other_rows():
    same = [{"processes": 2}, {"processes": 2, "parallel": "fsdp"}, {"accumulation": 4}, {"threads": 8}]
    assert {str(training(**settings).params) for settings in [{}, *same]} == {str(BEFORE["model mix 0"].params)}
    grouped = [{"length_grouping": True}, {"length_grouping": True, "processes": 2}]
    assert len({str(training(**settings).params) for settings in [{}, *grouped]}) == 3
    uneven = [{"loss_type": "aot"}, {"loss_type": "aot", "accumulation": 2}]
    assert len({str(training("after", **settings).params) for settings in [{}, *uneven]}) == 3
    assert training("after", accumulation=2).params == BEFORE["model after 0"].params


def test_a_training_is_told_all_that_it_reads_and_its_execution_apart():
    trained = [name for name, model in load(CHECKED).models.items() if isinstance(model.row, Train)]
    for name in trained:
        job = BEFORE[f"model {name} 0"].job
        assert job.execution["save_steps"] == (10 if name == "base" else 2)
        assert {"epochs", "optimizer", "lora", "seed", "select"} <= job.settings.keys()
        assert not job.recipe.settings.keys() & job.execution.keys()
    assert BEFORE["model mono 0"].job.settings["select"] == {"languages": ["fr"], "parts": None, "per_language": None}


def test_a_training_that_takes_fewer_rows_says_of_each_part_how_many():
    after = named(edited({"models/mix/per_language": 32}))["model mix 0"]
    assert after.recipe.settings["select"] == {"per_language": {"general": 24, "safety": 8}}


def test_a_merge_needs_its_base_and_a_consumer_of_a_temporary_one_the_weights_of_its_parents():
    assert [path.parts[-2] for path in BEFORE["model ties 0"].files["base"]] == ["base"]
    assert {path.parts[-2] for path in BEFORE["model ties 0"].files["weights"]} == {"base", "general", "safety"}
    temporary = named(edited({"keep_merges": False}))
    assert {temporary[f"model {name} 0"].stage.name for name in ("ties", "dare")} == {"merge_temporary"}
    assert temporary["model slerp 0"].stage.name == "merge", "a training's parent stays"
    assert {path.parts[-2] for path in temporary["answers dare"].files["weights"]} == {"base", "general", "safety"}


@pytest.mark.parametrize("role", ["weights", "overlap"])
def test_times_of_weights_and_of_the_check_for_overlap_make_no_training_stale(role):
    assert role in BEFORE["model mix 0"].stage.ancient and BEFORE["model mix 0"].files[role]
