"""Artifacts changed by hand are seen; new times, copies and deletions are not changes."""

import os
import shutil

import pytest

from workflow_scripts import hashing, seals


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    paths = [folder / "nano" / "tables" / name for name in ("table1.md", "table1.csv")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.name} 12345")
    seals.seal(folder, paths)
    return folder


def artifact(results):
    return results / "nano/tables/table1.md"


def test_what_was_sealed_and_left_alone_is_whole_and_is_not_read(results, monkeypatch):
    monkeypatch.setattr(hashing, "of_file", lambda path: pytest.fail(f"read {path}"))
    assert seals.broken(results) == []


def test_new_times_are_looked_into_once(results, monkeypatch):
    for path in (results / "nano/tables").iterdir():
        os.utime(path, (1, 1))
    assert seals.broken(results) == []
    monkeypatch.setattr(hashing, "of_file", lambda path: pytest.fail(f"read {path} again"))
    assert seals.broken(results) == []


def test_a_copy_elsewhere_is_whole(results, tmp_path):
    shutil.copytree(results, tmp_path / "copy", copy_function=shutil.copyfile)
    assert seals.broken(tmp_path / "copy") == []
    shutil.move(results, tmp_path / "moved")
    assert seals.broken(tmp_path / "moved") == []


@pytest.mark.parametrize("text", ["table1.md 12346", "shorter", ""])
def test_an_edit_is_seen_whether_or_not_the_size_changes(results, text):
    artifact(results).write_text(text)
    os.utime(artifact(results), (1, 1))
    assert seals.broken(results) == [artifact(results)]
    assert seals.broken(results) == [artifact(results)], "looking is not consent"


def test_deleting_is_consent(results):
    artifact(results).unlink()
    assert seals.broken(results) == []


def test_discarding_deletes_the_artifact_with_its_seal(results):
    artifact(results).write_text("edited")
    seals.discard(results, artifact(results))
    assert not artifact(results).exists() and seals.broken(results) == []
    artifact(results).write_text("made again")
    assert seals.broken(results) == [], "what was not sealed cannot be broken"
    seals.discard(results, artifact(results))
    seals.discard(results, artifact(results))


def test_sealing_again_takes_what_is_there_now(results):
    artifact(results).write_text("made again")
    seals.seal(results, [artifact(results)])
    assert seals.broken(results) == []


def test_a_seal_that_cannot_be_read_vouches_for_nothing(results):
    place = next((results / ".seals").glob("*table1.md"))
    place.write_text(place.read_text()[:10])
    assert seals.broken(results) == [artifact(results)]


def test_results_without_seals_have_none_broken(tmp_path):
    assert seals.broken(tmp_path) == []


def test_what_a_kill_left_of_a_seal_is_not_looked_at(results):
    (results / ".seals" / ".nano%tables%table1.md.123").write_text("{")
    assert seals.broken(results) == []


def test_a_kill_between_an_artifact_and_its_seal_leaves_nothing_to_refuse(results):
    path = artifact(results)
    with pytest.raises(KeyboardInterrupt), seals.sealing(results, [path]):
        path.write_text("made anew, and longer")
        raise KeyboardInterrupt
    assert seals.broken(results) == []
    with seals.sealing(results, [path]):
        path.write_text("whole")
    path.write_text("edit")
    assert seals.broken(results) == [path]
