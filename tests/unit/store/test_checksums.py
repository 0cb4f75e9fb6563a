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
    checksums.seal(folder, paths)
    return folder


def artifact(results):
    return results / "nano/tables/table1.md"


def test_what_was_sealed_and_left_alone_is_whole_and_is_not_read(results, monkeypatch):
    monkeypatch.setattr(hashing, "of_file", lambda path: pytest.fail(f"read {path}"))
    assert checksums.broken(results) == []


def test_new_times_are_looked_into_once(results, monkeypatch):
    for path in (results / "nano/tables").iterdir():
        os.utime(path, (1, 1))
    assert checksums.broken(results) == []
    monkeypatch.setattr(hashing, "of_file", lambda path: pytest.fail(f"read {path} again"))
    assert checksums.broken(results) == []


def test_a_copy_elsewhere_is_whole(results, tmp_path):
    shutil.copytree(results, tmp_path / "copy", copy_function=shutil.copyfile)
    assert checksums.broken(tmp_path / "copy") == []
    shutil.move(results, tmp_path / "moved")
    assert checksums.broken(tmp_path / "moved") == []


@pytest.mark.parametrize("text", ["table1.md 12346", "shorter", ""])
def test_an_edit_is_seen_whether_or_not_the_size_changes(results, text):
    artifact(results).write_text(text)
    os.utime(artifact(results), (1, 1))
    assert checksums.broken(results) == [artifact(results)]
    assert checksums.broken(results) == [artifact(results)], "looking is not consent"


def test_deleting_is_consent(results):
    artifact(results).unlink()
    assert checksums.broken(results) == []


def test_discarding_deletes_the_artifact_with_its_seal(results):
    artifact(results).write_text("edited")
    checksums.discard(results, artifact(results))
    assert not artifact(results).exists() and checksums.broken(results) == []
    artifact(results).write_text("made again")
    assert checksums.broken(results) == [], "what was not sealed cannot be broken"
    checksums.discard(results, artifact(results))
    checksums.discard(results, artifact(results))


def test_sealing_again_takes_what_is_there_now(results):
    artifact(results).write_text("made again")
    checksums.seal(results, [artifact(results)])
    assert checksums.broken(results) == []


def test_a_seal_that_cannot_be_read_vouches_for_nothing(results):
    place = next((results / ".seals").glob("*table1.md"))
    place.write_text(place.read_text()[:10])
    assert checksums.broken(results) == [artifact(results)]


def test_results_without_seals_have_none_broken(tmp_path):
    assert checksums.broken(tmp_path) == []


def test_what_a_kill_left_of_a_seal_is_not_looked_at(results):
    (results / ".seals" / ".nano%tables%table1.md.123").write_text("{")
    assert checksums.broken(results) == []


def test_a_kill_between_an_artifact_and_its_seal_leaves_nothing_to_refuse(results):
    path = artifact(results)
    with pytest.raises(KeyboardInterrupt), checksums.sealing(results, [path]):
        path.write_text("made anew, and longer")
        raise KeyboardInterrupt
    assert checksums.broken(results) == []
    with checksums.sealing(results, [path]):
        path.write_text("whole")
    path.write_text("edit")
    assert checksums.broken(results) == [path]
