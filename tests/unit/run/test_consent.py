"""Nothing costly is made again unasked where only code or versions changed."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.finished import finish
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock, kept
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.run import consent, session

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
TRAININGS = 4
VERSION = code_lock.version


@pytest.fixture
def pretend(monkeypatch):
    """Let other versions of packages be installed, or other versions of units of code be here."""

    def versions(**others):
        monkeypatch.setattr(code_lock, "installed", lambda package: others.get(package, "1.0"))
        monkeypatch.setattr(code_lock, "version", lambda unit: others.get(unit.replace(":", "_")) or VERSION(unit))

    return versions


@pytest.fixture(autouse=True)
def _folder(own_folder, pretend):
    pretend()


def found(**sections):
    return kept.with_kept(load({**copy.deepcopy(CHECKED), **sections}))


def made(stages=(), **how):
    """Lay down what an experiment made with the versions that are pretended now."""
    finish(artifacts(load(CHECKED)), stages, **how)


def test_a_finished_experiment_asks_nothing(pretend):
    made(seconds=1e6)
    assert consent.question(found()) == []


def test_an_experiment_that_was_not_begun_asks_nothing():
    assert consent.question(found()) == []


def test_on_a_miniature_it_never_asks(pretend):
    made(seconds=5.0)
    pretend(trl="2.0", transformers="2.0")
    assert consent.question(found()) == []


def test_it_says_what_changed_from_what_to_what_what_it_costs_and_the_ways_on(pretend):
    made(seconds=10.0)
    made(["train"], seconds=1800.0)
    pretend(trl="2.0")
    lines = consent.question(found())
    first, change, ways = lines
    assert first.startswith("code or versions changed, the experiment did not; this would be redone: ")
    assert f"{TRAININGS} of train" in first and "5 of generate" in first, "all that follows is made again as well"
    assert "0.0 GPU-hours, 2.1 hours on CPUs, $0.00" in first
    assert change == f"    trl: 1.0 is now 2.0 ({TRAININGS} artifacts)"
    assert 'make keep KEEP="train*"' in ways and 'REDO="train*"' in ways and "machine.ask_above" in ways
    assert all("\n" not in line for line in lines)


@pytest.mark.parametrize(
    ("how", "machine", "asks"),
    [
        ({"seconds": 1800.0}, {}, False),  # half an hour on CPUs in all
        ({"seconds": 1801.0}, {}, True),
        ({"seconds": 900.0}, {"gpus_per_node": 1}, False),  # a quarter of a GPU-hour
        ({"seconds": 901.0}, {"gpus_per_node": 1}, True),
        ({"seconds": 901.0}, {"gpus_per_node": 1, "ask_above": {"gpu_hours": 1.0}}, False),
        ({"seconds": 1.0}, {"ask_above": {"cpu_hours": 0}}, True),
        ({"usd": 1.0}, {}, False),
        ({"usd": 1.01}, {}, True),
        ({"usd": 1.01}, {"ask_above": {"usd": 2.0}}, False),
    ],
)
def test_it_asks_above_the_limit_and_not_below(pretend, how, machine, asks):
    made(seconds=0.0)
    experiment = artifacts(load(CHECKED))
    mix = [one for one in experiment.all if one.stage.name == "train" and one.wildcards["model"] == "mix"]
    finish(experiment._replace(all=mix), **{"seconds": 0.0, **how})
    pretend(trl="2.0")
    assert bool(consent.question(found(machine=machine))) is asks


def test_dollars_of_judgments_that_would_be_asked_again_count(pretend):
    made(usd=0.0, seconds=1.0)
    made(["judge", "compare"], usd=0.5, seconds=1.0)
    pretend(mergekit="2.0")
    (first, *_) = consent.question(found())
    assert "1 of merge" in first and "$1.50" in first, "harm, preference and the contrast of one merge"


def test_what_the_experiment_makes_again_anyway_is_not_asked_about(pretend):
    made(seconds=3600.0)
    pretend(trl="2.0")
    training = copy.deepcopy(CHECKED["training"])
    training["pretrain"]["epochs"] = 2  # all descend from it
    assert consent.question(found(training=training)) == []
    training = copy.deepcopy(CHECKED["training"])
    training["sft"]["epochs"] = 2
    (_, change, _) = consent.question(found(training=training))
    assert change == "    trl: 1.0 is now 2.0 (1 artifacts)", "the base alone"


def test_code_of_a_unit_is_named_as_a_unit(pretend):
    made(seconds=3600.0)
    pretend(merge="f" * 12)
    (first, change, ways) = consent.question(found())
    assert "1 of merge" in first and change.endswith(f" is now {'f' * 12} (1 artifacts)") and "merge: " in change
    assert 'KEEP="merge*"' in ways


def test_an_edit_of_the_check_for_overlap_redoes_no_training(pretend):
    made(seconds=3600.0)
    pretend(overlap="f" * 12)
    (first, *_) = consent.question(found())
    assert "1 of overlap" in first and "train" not in first


def test_many_changes_are_counted(pretend):
    made(seconds=3600.0)
    others = ("torch", "transformers", "trl", "accelerate", "peft", "mergekit", "tokenizers", "matplotlib")
    pretend(**dict.fromkeys(others, "2.0"), train_sft="f" * 12, mixture="e" * 12)
    lines = consent.question(found())
    assert len(lines) == 2 + consent.SHOWN + 1 and "changes more" in lines[-2]


def test_a_run_stops_and_a_dry_run_prints_and_goes_on(pretend, capsys):
    made(seconds=3600.0)
    pretend(trl="2.0")
    session.start(found(), dry_run=True)
    assert "would be redone" in capsys.readouterr().err
    assert not Path("results/.jobs").exists()
    with pytest.raises(UserError, match="would be redone"):
        session.start(found(), dry_run=False)
    assert not Path("results/.jobs").exists(), "nothing is written down for jobs that may not run"


def test_a_run_with_consent_writes_down_its_jobs(pretend):
    made(seconds=1.0)
    pretend(trl="2.0")
    session.start(found(), dry_run=False)
    assert all(artifact.job.path.exists() for artifact in found().all)


def test_what_follows_what_is_redone_by_consent_is_not_asked_about_though_it_was_to_be_kept(pretend):
    """Its pin ends where its parent is made again and the store has nothing by that parent; the quote had it in it."""
    made(seconds=3600.0)
    before = artifacts(load(CHECKED))
    pretend(torch="2.0")
    redone = {str(one.path): one.recipe.code for one in artifacts(load(CHECKED)).all if one.stage.name == "train"}
    rest = (one for one in before.all if str(one.path) not in redone)
    pins = {str(one.path): {**one.params, "code": one.recipe.code} for one in rest}
    place = kept.place(before.experiment)
    place.write_text(json.dumps({"kept": pins, "redone": redone}))
    assert consent.question(found()) == []
    place.write_text(json.dumps({"kept": pins, "redone": {}}))
    (first, *_) = consent.question(found())
    assert f"{TRAININGS} of train" in first


def test_a_kept_temporary_merge_whose_weights_are_needed_again_counts_as_made_again(pretend, monkeypatch):
    """The code that is here would have to give the same weights, and nobody knows whether it does."""
    temporary = artifacts(load({**copy.deepcopy(CHECKED), "keep_merges": False}))
    finish(temporary, seconds=3600.0)
    (merge,) = (one for one in temporary.all if one.stage.name == "merge_temporary")
    pin = {"settings": merge.params["settings"], "inputs": merge.params["inputs"], "code": merge.recipe.code}
    kept.place(temporary.experiment).write_text(json.dumps({"kept": {str(merge.path): pin}, "redone": {}}))
    pretend(mergekit="2.0")
    monkeypatch.setattr(kept, "is_released", lambda artifact: True)
    assert consent.question(found(keep_merges=False)) == [], "its answers are there"
    (answers,) = (one for one in temporary.all if one.stage.name == "generate" and one.wildcards["model"] == "slerp")
    answers.path.unlink()
    (first, _) = consent.question(found(keep_merges=False))
    assert "1 of merge" in first
