"""KEEP and REDO: what was made by other code stays, or is made again, each by patterns of units."""

import copy
import json
from pathlib import Path

import pytest
import yaml

from tests.finished import finish
from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock, kept, provenance
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.run import consent, keep

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def _finished(tmp_path, monkeypatch):
    """An experiment that was costly, finished by earlier versions of trl and mergekit."""
    monkeypatch.chdir(tmp_path)
    Path("config.yaml").write_text(yaml.safe_dump(CHECKED))
    monkeypatch.setattr(code_lock, "installed", lambda package: "1.0")
    finish(artifacts(load(CHECKED)), seconds=3600.0)
    monkeypatch.setattr(code_lock, "installed", lambda package: {"trl": "2.0", "mergekit": "2.0"}.get(package, "1.0"))


def run(*, config=CHECKED, **patterns):
    Path("config.yaml").write_text(yaml.safe_dump(config))
    options = [word for name, units in patterns.items() for word in (f"--{name}", *units.split())]
    keep.main(["--config", "config.yaml", *options])


def found(config=CHECKED):
    return kept.with_kept(load(config))


def owed(config=CHECKED):
    """The models whose params are not those that made them."""
    stale = [one for one in found(config).all if provenance.made_by(one) != one.params]
    return {f"{one.stage.name} {one.wildcards['model']}" for one in stale if one.stage.name in ("train", "merge")}


TRAININGS = {f"train {name}" for name in ("base", "general", "safety", "mix")}


def test_before_anything_is_said_trainings_and_merges_are_stale_and_asked_about():
    assert owed() == {*TRAININGS, "merge slerp"}
    assert consent.question(found())


def test_kept_is_as_it_was_and_nothing_is_asked(capsys):
    run(keep="train:* merge")
    assert "5 artifacts are kept as they were made, 0 will be made again." in capsys.readouterr().out
    assert owed() == set() and consent.question(found()) == []
    assert all(map(provenance.current(found()), found().all))


def test_redone_is_made_again_unasked(capsys):
    run(redo="train:* merge")
    assert "0 artifacts are kept as they were made, 5 will be made again." in capsys.readouterr().out
    assert owed() == {*TRAININGS, "merge slerp"} and consent.question(found()) == []


def test_a_kept_and_a_redone_part_together():
    run(keep="train:*", redo="merge")
    assert owed() == {"merge slerp"} and consent.question(found()) == []


def test_what_is_in_neither_is_asked_about_still():
    run(keep="train:*")
    (first, *_) = consent.question(found())
    assert "1 of merge" in first and "train" not in first


def test_what_was_kept_may_be_redone_after_all_and_the_other_way_round():
    run(keep="train:* merge")
    run(redo="merge")
    assert owed() == {"merge slerp"} and consent.question(found()) == []
    run(keep="merge")
    assert owed() == set()
    notes = kept.read(found().experiment)
    assert not notes["redone"] and len(notes["kept"]) == 5


def test_consent_to_one_version_is_none_to_the_next(monkeypatch):
    run(redo="train:* merge")
    monkeypatch.setattr(code_lock, "installed", lambda package: "3.0" if package == "trl" else "1.0")
    (_, change, _) = consent.question(found())
    assert change == "    trl: 1.0 is now 3.0 (4 artifacts)"


def test_what_is_kept_is_kept_under_still_newer_code(monkeypatch):
    run(keep="train:* merge")
    monkeypatch.setattr(code_lock, "installed", lambda package: "3.0" if package == "trl" else "1.0")
    assert owed() == set()


def test_keeping_pins_the_code_of_each_artifact():
    run(keep="train:* merge")
    notes = json.loads(kept.place(found().experiment).read_text())
    note = notes["kept"]["results/checked/seed0/models/mix/manifest.json"]
    assert note["code"]["trl"] == "1.0" and note.keys() == {"settings", "inputs", "code"}
    assert not notes["redone"]


def test_what_the_experiment_changed_is_not_kept():
    raw = copy.deepcopy(CHECKED)
    raw["training"]["sft"]["epochs"] = 2
    run(config=raw, keep="train:* merge")
    assert owed(raw) == TRAININGS - {"train base"} | {"merge slerp"}


def test_what_lies_beside_the_config_is_found(monkeypatch):
    monkeypatch.setenv(beside.FOLDERS, "")
    Path("formats").mkdir()
    Path("formats/mine.py").write_text(
        "from workflow_scripts.data.formats import Format, Part\n"
        'FORMAT = Format("MIT", {"en": (Part(None, "train"),)}, {"id": "an id"}, lambda raw, language: "none")\n'
    )
    mine = {"dataset": "data", "revision": "a" * 40, "format": "mine"}
    run(config={**CHECKED, "sources": {**CHECKED["sources"], "mine": mine}}, keep="train:*")
    assert kept.place(load(CHECKED)).exists()


@pytest.mark.parametrize("name", ["keep", "redo"])
@pytest.mark.parametrize("pattern", ["train:none", "training", ""])
def test_a_pattern_that_fits_no_unit_is_one_line_and_changes_nothing(name, pattern):
    with pytest.raises(
        UserError, match=rf"^{name.upper()}: no unit fits '{pattern}'; there are .*train:dpo"
    ) as refused:
        keep.main(["--config", "config.yaml", f"--{name}", pattern])
    assert "\n" not in str(refused.value)
    assert not kept.place(load_checked()).exists()


def load_checked():
    return load(CHECKED)


def test_damaged_notes_are_one_line():
    place = kept.place(load(CHECKED))
    place.write_text("half {")
    with pytest.raises(UserError, match="is not as `make keep` writes it"):
        run(keep="train:*")
    assert place.read_text() == "half {"
