"""`make lock-code`: what changed is named; NEW moves both fingerprints of a unit, SAME only that of its code."""

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock
from workflow_scripts.experiment.code_lock import Locked
from workflow_scripts.run import lock_code, same_code

OLD, NOW = "a" * 12, "b" * 12
locked = code_lock.read.__wrapped__  # the content of a lock
UNITS = ("mixture", "train:dpo", "train:sft")


@pytest.fixture(autouse=True)
def lock(tmp_path, monkeypatch):
    """A lock of three units, of which the trainings changed; what is compared is noted."""
    place = tmp_path / "code.lock"
    place.write_text(code_lock.text({unit: Locked(OLD, OLD) for unit in UNITS}))
    monkeypatch.setattr(lock_code, "LOCK", place)
    monkeypatch.setattr(code_lock, "read", lambda: locked(place))
    monkeypatch.setattr(code_lock, "units", lambda: dict.fromkeys(UNITS))
    monkeypatch.setattr(code_lock, "now", lambda unit: NOW if unit.startswith("train") else OLD)
    return place


@pytest.fixture(autouse=True)
def compared(monkeypatch):
    """The units whose codes were compared, and what could not be tested."""
    asked, untested = [], {}
    monkeypatch.setattr(same_code, "compare", lambda units, lock: asked.extend(units) or untested)
    return asked, untested


def run(**given):
    lock_code.main([word for name, units in given.items() for word in (f"--{name}", *units.split())])


def test_without_units_it_says_what_changed_and_changes_nothing(lock):
    before = lock.read_text()
    for arguments in ([], ["--check"]):
        with pytest.raises(
            UserError, match=r"^code\.lock: is not current for train:dpo, train:sft; make lock-code NEW="
        ):
            lock_code.main(arguments)
    assert lock.read_text() == before


def test_a_current_lock_is_said_to_be_current(lock, monkeypatch, capsys):
    monkeypatch.setattr(code_lock, "now", lambda unit: OLD)
    lock_code.main(["--check"])
    assert capsys.readouterr().out == "code.lock is current.\n"


def test_new_results_move_both_fingerprints(lock, compared):
    run(new="train:*")
    assert locked(lock) == {
        "mixture": Locked(OLD, OLD),
        "train:dpo": Locked(NOW, NOW),
        "train:sft": Locked(NOW, NOW),
    }
    assert compared[0] == []


def test_same_results_move_the_code_alone_and_are_compared(lock, compared):
    run(same="train:*")
    assert locked(lock)["train:dpo"] == Locked(OLD, NOW) and locked(lock)["mixture"] == Locked(OLD, OLD)
    assert compared[0] == ["train:dpo", "train:sft"]


def test_new_goes_before_same(lock, compared):
    run(new="train:dpo", same="train:*")
    assert locked(lock)["train:dpo"] == Locked(NOW, NOW) and locked(lock)["train:sft"] == Locked(OLD, NOW)
    assert compared[0] == ["train:sft"]


def test_what_cannot_be_tested_here_is_recorded_as_untested(lock, compared):
    compared[1]["train:dpo"] = "needs a GPU"
    run(same="train:*")
    assert locked(lock)["train:dpo"] == Locked(OLD, NOW, "needs a GPU") and not locked(lock)["train:sft"].untested


def test_what_is_in_neither_is_refused_by_name(lock):
    before = lock.read_text()
    with pytest.raises(UserError, match=r"train:sft changed as well, and is in neither NEW nor SAME"):
        run(new="train:dpo")
    assert lock.read_text() == before


@pytest.mark.parametrize("name", ["new", "same"])
def test_an_unknown_unit_is_one_line(lock, name):
    with pytest.raises(UserError, match=f"^{name.upper()}: no unit fits 'train:kto'; there are mixture, train:dpo"):
        run(**{name: "train:* train:kto"})


def test_what_gives_other_results_is_not_locked_as_the_same(lock, monkeypatch):
    def differs(units, lock):
        raise UserError("SAME: train:dpo gives another model")

    monkeypatch.setattr(same_code, "compare", differs)
    before = lock.read_text()
    with pytest.raises(UserError, match="gives another model"):
        run(same="train:*")
    assert lock.read_text() == before


def test_a_unit_that_is_new_has_no_older_code_to_be_the_same_as(lock):
    lock.write_text(code_lock.text({"mixture": Locked(OLD, OLD), "train:sft": Locked(OLD, OLD)}))
    with pytest.raises(UserError, match=r"SAME: train:dpo is not in code\.lock yet"):
        run(same="train:*")
    run(same="train:sft", new="train:dpo")
    assert locked(lock)["train:dpo"] == Locked(NOW, NOW)


def test_a_unit_that_is_gone_leaves_the_lock(lock, capsys, monkeypatch):
    lock.write_text(code_lock.text({unit: Locked(OLD, OLD) for unit in (*UNITS, "train:kto")}))
    run(new="train:*")
    assert "train:kto" not in locked(lock)
    assert "no longer there: train:kto" in capsys.readouterr().out


def test_all_is_new_where_there_is_no_lock_yet(lock):
    lock.unlink()
    with pytest.raises(UserError, match="no such file"):
        run(new="train:*")
    run(new="*")
    assert locked(lock).keys() == set(UNITS)


def test_a_lock_with_conflict_markers_is_not_written_over(lock):
    lock.write_text("<<<<<<< HEAD\n")
    with pytest.raises(UserError, match="conflict markers"):
        run(new="*")
    assert lock.read_text() == "<<<<<<< HEAD\n"
