"""Artifacts changed by hand are seen; new times, copies and deletions are not changes."""

import os
import shutil

import pytest

from workflow_scripts.base import hashing
from workflow_scripts.store import checksums


@pytest.fixture
def results(tmp_path):
    folder = tmp_path / "results"
    paths = [folder / "nano" / "tables" / name for name in ("table1.md", "table1.csv")]
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{path.name} 12345")
    checksums.record(folder, paths)
    return folder


def artifact(results):
    return results / "nano/tables/table1.md"


def test_what_was_recorded_and_left_alone_is_whole_and_is_not_read(results, monkeypatch):
    monkeypatch.setattr(hashing, "of_file", lambda path: pytest.fail(f"read {path}"))
    assert checksums.changed(results) == []


def test_new_times_are_looked_into_once(results, monkeypatch):
    for path in (results / "nano/tables").iterdir():
        os.utime(path, (1, 1))
    assert checksums.changed(results) == []
    monkeypatch.setattr(hashing, "of_file", lambda path: pytest.fail(f"read {path} again"))
    assert checksums.changed(results) == []


def test_a_copy_elsewhere_is_whole(results, tmp_path):
    shutil.copytree(results, tmp_path / "copy", copy_function=shutil.copyfile)
    assert checksums.changed(tmp_path / "copy") == []
    shutil.move(results, tmp_path / "moved")
    assert checksums.changed(tmp_path / "moved") == []


@pytest.mark.parametrize("text", ["table1.md 12346", "shorter", ""])
def test_an_edit_is_seen_whether_or_not_the_size_changes(results, text):
    artifact(results).write_text(text)
    os.utime(artifact(results), (1, 1))
    assert checksums.changed(results) == [artifact(results)]
    assert checksums.changed(results) == [artifact(results)], "looking is not consent"


def test_deleting_is_consent(results):
    artifact(results).unlink()
    assert checksums.changed(results) == []


def test_discarding_deletes_the_artifact_with_its_record(results):
    artifact(results).write_text("edited")
    checksums.discard(results, artifact(results))
    assert not artifact(results).exists() and checksums.changed(results) == []
    artifact(results).write_text("made again")
    assert checksums.changed(results) == [], "what was not recorded cannot have changed"
    checksums.discard(results, artifact(results))
    checksums.discard(results, artifact(results))


def test_recording_again_takes_what_is_there_now(results):
    artifact(results).write_text("made again")
    checksums.record(results, [artifact(results)])
    assert checksums.changed(results) == []


def test_a_record_that_cannot_be_read_counts_as_a_change(results):
    place = next((results / ".checksums").glob("*table1.md"))
    place.write_text(place.read_text()[:10])
    assert checksums.changed(results) == [artifact(results)]


def test_results_without_records_have_no_changes(tmp_path):
    assert checksums.changed(tmp_path) == []


def test_what_a_kill_left_of_a_record_is_not_looked_at(results):
    (results / ".checksums" / ".nano%tables%table1.md.123").write_text("{")
    assert checksums.changed(results) == []


def test_a_kill_between_an_artifact_and_its_record_leaves_nothing_to_refuse(results):
    path = artifact(results)
    with pytest.raises(KeyboardInterrupt), checksums.recording(results, [path]):
        path.write_text("made anew, and longer")
        raise KeyboardInterrupt
    assert checksums.changed(results) == []
    with checksums.recording(results, [path]):
        path.write_text("whole")
    path.write_text("edit")
    assert checksums.changed(results) == [path]
