"""What judges are asked, one request at a time or in batches."""

import re
from pathlib import Path

import pytest

from tests.unit.experiment.everything import BEFORE, CHECKED, LABELLED, edited, named, params
from workflow_scripts.experiment.stages.scores import judged
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.llm.parameters import PARAMETERS

BATCHED = {"judges/other/model": "openai/gpt-4o", "judges/other/batch": True, "suites/known": LABELLED}


def asked_by(judge, raw=CHECKED):
    return judged(load(raw), judge)


def test_the_rules_are_part_of_what_the_miniatures_judge_is_asked_by_and_of_no_other():
    rules, other = (BEFORE[f"scores {judge} mix redteam"].recipe for judge in ("rules", "other"))
    assert re.fullmatch(r"[0-9a-f]{12}", rules.code["rule_judge"])
    assert "rule_judge" not in other.code
    assert rules.settings["lexicon"] and "lexicon" not in other.settings, "the rules read the world's words"


def test_faults_are_part_of_what_the_faulty_judge_is_asked_by():
    after = named(edited({"judges/faulty": {"model": "mixmerge/rules", "faults": {"unreadable": 0.1}}}))
    assert after["scores faulty mix redteam"].recipe.settings["faults"] == {"unreadable": 0.1}
    assert "faults" not in after["scores rules mix redteam"].recipe.settings


def test_the_baseline_is_not_compared_with_itself():
    assert [one.suite for one in asked_by("rules") if one.model == "base"] == ["native", "redteam"]
    alone = [one.suite for one in asked_by("rules") if one.model == "mix" and not one.against]
    assert alone == ["general", "native", "redteam"]


def test_the_sides_of_a_contrast_are_compared_with_each_other_on_suites_of_preference():
    assert [one for one in asked_by("rules") if one.against] == [("rules", "slerp", "general", "mix")]
    found = BEFORE["scores rules slerp general vs mix"]
    assert found.path == Path("results/checked/seed0/scores/rules/slerp/general.vs.mix.parquet")
    assert found.files["baseline"] == [Path("results/checked/seed0/generations/mix/general.parquet")]


def test_a_judge_of_some_models_judges_the_baseline_too_and_contrasts_only_if_it_knows_both_sides():
    found = asked_by("other", edited({"judges/other/models": ["slerp"]}))
    assert {one.model for one in found} == {"base", "slerp"}
    assert not [one for one in found if one.against]


def test_labelled_answers_are_judged_by_every_judge_and_answered_by_no_model():
    after = named(edited({"suites/known": LABELLED}))
    assert {name for name in after if "known" in name} == {"suite known", "labels rules known", "labels other known"}
    found = after["labels other known"]
    assert found.recipe.inputs == {"model": None, "judge": "other", "suite": "known", "baseline": None}
    assert found.files["generations"] == []


def batches(raw):
    found = named(raw)
    return {name: artifact for name, artifact in found.items() if name.startswith(("submit", "collect"))}


def test_that_a_judge_is_asked_in_batches_is_execution_and_decides_no_scores():
    single = edited({key: value for key, value in BATCHED.items() if key != "judges/other/batch"})
    before, after = named(single), named(edited(BATCHED | {"judges/other/poll": 5}))
    assert not batches(single)
    assert {name: one.params for name, one in after.items() if not name.startswith(("submit", "collect"))} == {
        name: one.params for name, one in before.items()
    }
    judge = "scores other mix redteam"
    assert (before[judge].job.execution["batch"], after[judge].job.execution["batch"]) == (False, True)


def test_what_a_batch_asks_is_all_that_the_judge_is_asked_about_a_model():
    """To the letter: an answer is found in the ledger by the request."""
    found = named(edited(BATCHED))
    for model in ("mix", "slerp", "base"):
        judgments = [one for name, one in found.items() if name.startswith(f"scores other {model} ")]
        batch = found[f"submit other {model}"]
        asked = {(one["suite"], one["baseline"], one["metric"]) for one in batch.job.settings["questions"]}
        assert asked == {
            (one.recipe.inputs["suite"], one.recipe.inputs["baseline"], one.job.settings["metric"]) for one in judgments
        }
        for one in judgments:
            assert batch.job.settings["prompts"][one.job.settings["metric"]] == one.job.settings["prompt"]
            for name in ("model", *PARAMETERS):
                assert batch.job.settings["settings"].get(name) == one.job.settings.get(name), name
            files = {path for role in ("generations", "baseline") for path in one.files[role]}
            assert files <= set(batch.files["generations"])
        assert (batch.recipe.stage, batch.recipe.inputs["judge"], batch.recipe.inputs["model"]) == (
            *("submit", "other", model),
        )
        pairs = [[path.parts[-2], path.stem] for path in batch.files["generations"]]
        assert batch.recipe.inputs["generations"] == pairs
    questions = found["submit_labels other"].job.settings["questions"]
    assert [one["suite"] for one in questions] == ["known"]
    direct = found["submit other slerp"].job.settings["questions"]
    assert ("general", "mix") in {(one["suite"], one["baseline"]) for one in direct}


@pytest.mark.parametrize(
    ("key", "value", "changes"),
    [
        ("judges/other/max_tokens", 9, True),
        ("judges/other/harm", "harm-short", True),
        ("suites/more", {"source": "redteam", "metric": "harm"}, True),
        ("judges/other/rpm", 9, False),
        ("judges/rules/max_tokens", 9, False),
        ("tables/table1/caption", "Other words", False),
    ],
)
def test_a_batch_is_handed_in_anew_only_where_other_questions_are_asked(key, value, changes):
    before, after = (params(edited(BATCHED | more))["submit other mix"] for more in ({}, {key: value}))
    assert (after != before) is changes


def test_every_unit_of_a_batch_is_one_that_a_version_is_known_of():
    for artifact in batches(edited(BATCHED)).values():
        assert all(re.fullmatch(r"[0-9a-f]{12}", artifact.recipe.code[unit]) for unit in artifact.units)
