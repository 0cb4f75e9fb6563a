"""What is kept stays as it was made, until something about it changes or it is gone."""

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

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
MODELS = Path("results/checked/seed0/models")
MIX, SLERP = (MODELS / name / "manifest.json" for name in ("mix", "slerp"))


@pytest.fixture(autouse=True)
def finished(tmp_path, monkeypatch):
    """A finished experiment of an earlier version of torch, of which the mix's training and a merge are kept."""
    monkeypatch.chdir(tmp_path)
    pretend(monkeypatch, "1.0")
    made = artifacts(load(CHECKED))
    finish(made)
    pretend(monkeypatch, "2.0")
    notes = {str(path): pin(made.by_path[path]) for path in (MIX, SLERP)}
    kept.place(made.experiment).write_text(json.dumps({"kept": notes, "redone": {}}))
    return made


def pin(artifact):
    return {"settings": artifact.params["settings"], "inputs": artifact.params["inputs"], "code": artifact.recipe.code}


def pretend(monkeypatch, torch):
    """Let another version of torch be installed."""
    monkeypatch.setattr(code_lock, "installed", lambda package: torch if package == "torch" else "1.0")


def keep_all(made):
    """Keep everything that was made."""
    notes = {str(artifact.path): pin(artifact) for artifact in made.all}
    kept.place(made.experiment).write_text(json.dumps({"kept": notes, "redone": {}}))


def found(**edits):
    raw = copy.deepcopy(CHECKED)
    for key, value in edits.items():
        section = raw
        *path, last = key.split("__")
        for part in path:
            section = section[part]
        section[last] = value
    return kept.with_kept(load(raw))


def test_without_a_note_of_what_is_kept_every_recipe_holds_the_code_that_is_here(finished):
    kept.place(finished.experiment).unlink()
    assert found().by_path[MIX].recipe.code["torch"] == "2.0"


def test_what_is_kept_has_the_params_that_are_recorded_and_the_recipe_that_made_it(finished):
    keep_all(finished)
    after = found()
    for artifact in finished.all:
        again = after.by_path[artifact.path]
        assert again.params == artifact.params
        assert again.job.recipe == artifact.recipe and again.job.kept


def test_what_is_not_kept_goes_on_with_the_code_that_is_here(finished):
    keep_all(finished)
    notes = json.loads(kept.place(finished.experiment).read_text())
    del notes["kept"][str(SLERP)]
    kept.place(finished.experiment).write_text(json.dumps(notes))
    after = found()
    assert after.by_path[MIX].recipe.code["torch"] == "1.0"
    assert after.by_path[SLERP].recipe.code["torch"] == "2.0"


@pytest.mark.parametrize(
    ("edits", "ends"),
    [
        ({"training__sft__epochs": 2}, True),  # settings
        ({"models__mix__mixture": "general"}, True),  # inputs
        ({"sources__general__seed": 99}, True),  # what its inputs are made from
        ({"training__sft__threads": 2}, False),
        ({"suites__more": {"source": "redteam", "metric": "harm"}}, False),  # what is compared for overlap
        ({"mixtures__general__seed": 1}, False),  # of another training
        ({"tables__table1__caption": "Other words"}, False),
    ],
)
def test_a_pin_ends_when_settings_or_inputs_change(finished, edits, ends):
    keep_all(finished)
    assert found().by_path[MIX].recipe.code["torch"] == "1.0"
    assert found(**edits).by_path[MIX].recipe.code["torch"] == ("2.0" if ends else "1.0")


def test_a_pin_of_a_merge_ends_when_its_parents_are_swapped(finished):
    keep_all(finished)
    assert found(models__slerp__parents=["safety", "general"]).by_path[SLERP].recipe.code["torch"] == "2.0"


def test_a_pin_ends_when_what_it_is_made_from_is_made_again(finished):
    """Nobody knows yet whether the new parent is the same, and the code that is here would train its child."""
    assert found().by_path[MIX].recipe.code["torch"] == "2.0", "its parent is not kept"


@pytest.mark.parametrize(
    ("redone_with", "in_store", "holds"), [("2.0", True, True), ("2.0", False, False), ("3.0", True, False)]
)
def test_a_pin_holds_while_what_it_is_made_from_is_redone_by_consent_and_the_store_has_it(
    finished, monkeypatch, redone_with, in_store, holds
):
    """The job looks for it by what then lies there; where the code changed once more, nobody consented to that."""
    keep_all(finished)
    place = kept.place(finished.experiment)
    notes = json.loads(place.read_text())
    general = MODELS / "general/manifest.json"
    notes["redone"][str(general)] = {**notes["kept"].pop(str(general))["code"], "torch": redone_with}
    place.write_text(json.dumps(notes))
    monkeypatch.setattr(kept, "in_store", lambda artifact: in_store)
    merge = found().by_path[SLERP]
    assert merge.recipe.code["torch"] == ("1.0" if holds else "2.0") and merge.job.kept == holds


@pytest.mark.parametrize("in_store", [True, False])
def test_a_pin_stays_as_long_as_the_files_or_the_store_have_it(finished, monkeypatch, in_store):
    keep_all(finished)
    MIX.unlink()
    asked = []
    monkeypatch.setattr(kept, "in_store", lambda artifact: asked.append(artifact.path) or in_store)
    assert found().by_path[MIX].recipe.code["torch"] == ("1.0" if in_store else "2.0")
    assert MIX in asked and MODELS / "general/manifest.json" not in asked, "asked about what does not lie there whole"


def test_pins_of_what_follows_hold_where_something_was_deleted_and_is_about_to_be_restored(finished, monkeypatch):
    """Which content it will have is known to the job alone, which looks again (`process.job`)."""
    keep_all(finished)
    (MODELS / "base/manifest.json").unlink()
    monkeypatch.setattr(kept, "in_store", lambda artifact: None)
    after = found()
    for name in ("base", "general", "mix", "slerp"):
        assert after.by_path[MODELS / name / "manifest.json"].recipe.code["torch"] == "1.0"
    monkeypatch.setattr(kept, "in_store", lambda artifact: artifact.path != MODELS / "base/manifest.json")
    after = found()
    assert after.by_path[MODELS / "base/manifest.json"].recipe.code["torch"] == "2.0", "it is made anew"


def test_a_pin_of_what_the_experiment_no_longer_has_is_no_harm(finished):
    keep_all(finished)
    raw = copy.deepcopy(CHECKED)
    del raw["models"]["slerp"], raw["contrasts"]
    raw["tables"], raw["figures"] = {}, {}
    after = kept.with_kept(load(raw))
    assert SLERP not in after.by_path and after.by_path[MIX].recipe.code["torch"] == "1.0"


@pytest.mark.parametrize(
    "text",
    ["", "half {", "[]", "{}", '{"kept": {}}', '{"kept": 5, "redone": {}}', '{"kept": {"a": "b"}, "redone": {}}',
     '{"kept": {"a": {"code": {}}}, "redone": {}}', b"\xff"],
)  # fmt: skip
def test_a_note_that_is_not_whole_is_one_line(finished, text):
    place = kept.place(finished.experiment)
    place.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=r"kept\.json: is not as `make keep` writes it") as refused:
        found()
    assert str(refused.value).startswith(str(place)) and "\n" not in str(refused.value)


# What is stale by code alone


def stale(**edits):
    return {artifact.path for artifact, _ in kept.stale_by_code(found(**edits))}


def test_only_what_depends_on_the_version_that_changed_is_stale_by_code(finished):
    kept.place(finished.experiment).unlink()
    names = {path.parts[-2] for path in stale() if path.name == "manifest.json"}
    assert names == {"init", "base", "general", "safety", "mix", "slerp"}
    assert not [path for path in stale() if "data" in path.parts or "scores" in path.parts]


def test_what_the_experiment_makes_again_anyway_is_not_stale_by_code_nor_what_comes_after_it(finished):
    kept.place(finished.experiment).unlink()
    names = {path.parts[-2] for path in stale(mixtures__mix__seed=1) if path.name == "manifest.json"}
    assert names == {"init", "base", "general", "safety", "slerp"}
    assert {path.parts[-2] for path in stale(sources__pretraining__seed=1)} == set(), "all descend from it"


def test_what_is_kept_is_not_stale(finished):
    keep_all(finished)
    assert stale() == set()


def test_a_stage_that_keeps_nothing_in_the_store_is_never_found_there(finished):
    mixture = finished.by_path[Path("results/checked/data/mixtures/mix.parquet")]
    assert kept.key_of(mixture.job) is None and not kept.in_store(mixture)


def test_a_key_whose_inputs_are_not_there_is_not_known(finished):
    training = finished.by_path[MIX]
    (MODELS / "base/manifest.json").unlink()
    assert kept.key_of(training.job) is None and not kept.in_store(training)
