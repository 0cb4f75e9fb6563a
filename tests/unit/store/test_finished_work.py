"""Finished work is made once, whole, and never believed when it is damaged; unfinished work goes on where it was."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.store import finished_work

ROOT = Path(__file__).parents[3]
KEY = "k" * 8

# A job that adds a line to `state/steps` per step, and finishes with as many as it is told to.
JOB = """
import os, sys, time
from pathlib import Path
from workflow_scripts.store import finished_work

def make(state, output):
    (Path(sys.argv[1]) / "made").open("a").write("made\\n")
    steps = state / "steps"
    while not steps.exists() or len(steps.read_text()) < int(sys.argv[3]):
        steps.open("a").write(".")
        if len(steps.read_text()) == int(sys.argv[4]):
            (output / "half").write_text("half")
            os.kill(os.getpid(), 9)
        time.sleep(0.01)
    (output / "weights").write_text(steps.read_text())
    return {"steps": len(steps.read_text())}

execution = {"processes": int(sys.argv[5])} if len(sys.argv) > 5 else {}
print(finished_work.get_or_make(Path(sys.argv[1]), sys.argv[2], make, execution=execution)["facts"]["steps"])
"""


def start(folder, steps=10, die_at=0, processes=None):
    command = [
        sys.executable,
        "-c",
        JOB,
        str(folder),
        KEY,
        str(steps),
        str(die_at),
        *([str(processes)] if processes else []),
    ]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def make(_, output):
    (output / "weights").write_text("1 2 3")
    (output / "config.json").write_text("{}")
    return {"cost": 3}


def test_keys_depend_on_work_and_on_inputs_in_their_order():
    keys = [
        finished_work.key({"a": 1}, parents=["x", "y"]),
        finished_work.key({"a": 1}, parents=["y", "x"]),
        finished_work.key({"a": 2}, parents=["x", "y"]),
        finished_work.key({"a": 1}, parents=["x", "y"], base="x"),
    ]
    assert len(set(keys)) == 4
    assert finished_work.key({"a": 1, "b": 2}) == finished_work.key({"b": 2, "a": 1})


def test_work_is_made_once_and_found_again(tmp_path):
    assert finished_work.find(tmp_path, KEY) is None
    made = finished_work.get_or_make(tmp_path, KEY, make)
    assert made["facts"] == {"cost": 3} and set(made["files"]) == {"weights", "config.json"}

    def never(*_):
        raise AssertionError("made again")

    assert finished_work.get_or_make(tmp_path, KEY, never) == finished_work.find(tmp_path, KEY) == made
    assert not (tmp_path / "work" / KEY).exists(), "nothing is left of the work"


def test_jobs_that_want_the_same_at_the_same_time_make_it_once(tmp_path):
    jobs = [start(tmp_path, steps=30) for _ in range(3)]
    assert [job.communicate()[0].strip() for job in jobs] == ["30"] * 3
    assert (tmp_path / "made").read_text() == "made\n"


def test_a_killed_job_leaves_nothing_half_written_and_goes_on_from_its_state(tmp_path):
    job = start(tmp_path, steps=10, die_at=6)
    job.communicate()
    assert job.returncode == -signal.SIGKILL
    assert finished_work.find(tmp_path, KEY) is None
    again = start(tmp_path, steps=10)
    assert again.communicate()[0].strip() == "10"
    entry = finished_work.find(tmp_path, KEY)
    assert set(entry["files"]) == {"weights"}, "what the killed job wrote into its output is gone"
    assert (tmp_path / "made").read_text() == "made\nmade\n"


def test_an_error_in_the_work_leaves_no_entry_and_the_next_try_starts_with_an_empty_output(tmp_path):
    def fail(state, output):
        (state / "checkpoint").write_text("1")
        (output / "half").write_text("half")
        raise UserError("no")

    with pytest.raises(UserError):
        finished_work.get_or_make(tmp_path, KEY, fail)
    assert finished_work.find(tmp_path, KEY) is None

    def go_on(state, output):
        assert (state / "checkpoint").read_text() == "1" and not list(output.iterdir())
        return make(state, output)

    assert finished_work.get_or_make(tmp_path, KEY, go_on)["facts"]["cost"] == 3


@pytest.mark.parametrize("damage", ["edited", "truncated", "deleted", "entry"])
def test_a_damaged_entry_is_refused_with_its_path_and_what_to_do(tmp_path, damage):
    finished_work.get_or_make(tmp_path, KEY, make)
    weights, entry = (tmp_path / "models" / KEY / name for name in ("weights", "entry.json"))
    match damage:
        case "edited":
            weights.write_text("1 2 4")
        case "truncated":
            weights.write_text("")
        case "deleted":
            weights.unlink()
        case "entry":
            entry.write_text(entry.read_text()[:20])
    named = entry if damage == "entry" else weights
    for use in (lambda: finished_work.find(tmp_path, KEY), lambda: finished_work.get_or_make(tmp_path, KEY, make)):
        with pytest.raises(UserError) as error:
            use()
        assert str(error.value).startswith(f"{named}: is damaged")
        assert f"make discard FILE={tmp_path / 'models' / KEY}" in str(error.value)


def test_a_folder_without_its_record_is_no_entry_and_is_replaced(tmp_path):
    finished_work.get_or_make(tmp_path, KEY, make)
    (tmp_path / "models" / KEY / "entry.json").unlink()
    assert finished_work.find(tmp_path, KEY) is None
    assert finished_work.get_or_make(tmp_path, KEY, make) == finished_work.find(tmp_path, KEY)


def test_released_work_is_known_and_made_again_when_it_is_wanted(tmp_path):
    made = finished_work.get_or_make(tmp_path, KEY, make)
    finished_work.release(tmp_path, KEY)
    assert finished_work.find(tmp_path, KEY) is None and not (tmp_path / "models" / KEY / "weights").exists()
    assert finished_work.known(tmp_path, KEY) == {**made, "released": True}
    assert finished_work.get_or_make(tmp_path, KEY, make) == finished_work.find(tmp_path, KEY) == made


def test_files_are_linked_and_replace_what_was_there(tmp_path):
    finished_work.get_or_make(tmp_path, KEY, make)
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_text("old")
    for _ in range(2):  # the second time the file is there already, as the same link
        finished_work.link(tmp_path, KEY, ["weights"], folder)
        assert (folder / "weights").samefile(tmp_path / "models" / KEY / "weights")
        assert [path.name for path in folder.iterdir()] == ["weights"], "no other names are left"


def test_files_are_copied_where_links_are_not_possible(tmp_path, monkeypatch):
    finished_work.get_or_make(tmp_path, KEY, make)

    def refuse(*_):
        raise OSError(errno.EPERM, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    finished_work.link(tmp_path, KEY, ["weights"], tmp_path / "model")
    assert (tmp_path / "model" / "weights").read_text() == "1 2 3"
    assert not (tmp_path / "model" / "weights").samefile(tmp_path / "models" / KEY / "weights")


def test_a_full_disk_leaves_neither_half_a_copy_nor_half_a_text(tmp_path, monkeypatch):
    finished_work.get_or_make(tmp_path, KEY, make)
    folder = tmp_path / "model"
    finished_work.write_text(folder / "weights", "old")

    def full(*arguments):
        Path(arguments[1] if len(arguments) > 1 else folder / f".weights.{os.getpid()}").write_text("1")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    monkeypatch.setattr(finished_work, "_sync", full)
    for write in (
        lambda: finished_work.link(tmp_path, KEY, ["weights"], folder),
        lambda: finished_work.write_text(folder / "weights", "new"),
    ):
        with pytest.raises(OSError, match="No space"):
            write()
        assert [path.name for path in folder.iterdir()] == ["weights"]
        assert (folder / "weights").read_text() == "old"


def test_a_reader_sees_the_old_text_or_the_new_one_and_nothing_between(tmp_path):
    path, texts = tmp_path / "manifest.json", ("a" * 100_000, "b" * 200_000)
    finished_work.write_text(path, texts[0])
    code = (
        "import sys; from pathlib import Path; from workflow_scripts.store import finished_work\n"
        "for _ in range(200): [finished_work.write_text(Path(sys.argv[1]), t) for t in ('b' * 200_000, 'a' * 100_000)]"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], cwd=ROOT)
    seen = set()
    deadline = time.monotonic() + 300
    while writer.poll() is None and time.monotonic() < deadline:
        seen.add(path.read_text())
    assert writer.wait() == 0 and seen <= set(texts)


def test_the_record_says_the_hash_of_every_file(tmp_path):
    finished_work.get_or_make(tmp_path, KEY, make)
    entry = json.loads((tmp_path / "models" / KEY / "entry.json").read_text())
    assert entry["files"]["config.json"] == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


# How it was executed


def test_how_work_was_executed_is_kept_beside_the_entry_and_is_no_part_of_it(tmp_path):
    assert finished_work.execution_of(tmp_path, KEY) is None

    def measuring(state, output):
        return {**make(state, output), "execution": {"batches": 7}}

    entry = finished_work.get_or_make(tmp_path / "one", KEY, measuring, execution={"processes": 2})
    other = finished_work.get_or_make(tmp_path / "two", KEY, make)
    texts = [(tmp_path / place / "models" / KEY / "entry.json").read_text() for place in ("one", "two")]
    assert entry == other and texts[0] == texts[1], "an entry says the same whoever made it, and when"
    record = finished_work.execution_of(tmp_path / "one", KEY)
    assert (record["settings"], record["batches"], record["resumed"]) == ({"processes": 2}, 7, False)
    assert record["machine"] == os.uname().nodename and record["cpus"] == os.cpu_count() and record["devices"] == []
    assert record["seconds"] >= 0 and "threads" in record and record["peak_memory_bytes"] > 1_000_000
    assert abs(datetime.now(UTC) - datetime.fromisoformat(record["started"])).total_seconds() < 3600
    place = tmp_path / "one" / "models" / KEY / "execution.json"
    for damage in (lambda: place.write_text("{"), place.unlink):
        damage()
        assert finished_work.execution_of(tmp_path / "one", KEY) is None
        assert finished_work.find(tmp_path / "one", KEY) == finished_work.known(tmp_path / "one", KEY) == entry


def test_measuring_imports_no_torch(tmp_path):
    code = (
        "import sys; from pathlib import Path; from workflow_scripts.store import finished_work\n"
        "finished_work.get_or_make(Path(sys.argv[1]), 'key', lambda *_: {})\nprint('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, capture_output=True, check=True)
    assert done.stdout == b"False\n"


def test_unfinished_work_goes_on_with_its_own_settings_of_execution_and_no_others(tmp_path):
    seen = []

    def fail(state, _):
        seen.append(sorted(path.name for path in state.iterdir()))
        (state / f"checkpoint-{len(seen)}").touch()
        raise UserError("no")

    for execution in ({}, {"processes": 2}, {"processes": 4}, {"processes": 2}, {}):
        with pytest.raises(UserError):
            finished_work.get_or_make(tmp_path, KEY, fail, execution=execution)
    assert seen == [[], [], [], ["checkpoint-2"], ["checkpoint-1"]]
    others = KEY + "k"
    with pytest.raises(UserError):
        finished_work.get_or_make(tmp_path, others, fail)
    folders = finished_work.unfinished(tmp_path, KEY)
    assert len(folders) == 3 and all(folder.name.startswith(KEY) for folder in folders)
    finished_work.get_or_make(tmp_path, KEY, make, execution={"processes": 2})
    assert finished_work.execution_of(tmp_path, KEY)["resumed"]
    assert finished_work.unfinished(tmp_path, KEY) == [], "what began with other settings has no use any more"
    assert finished_work.unfinished(tmp_path, others)


def test_jobs_that_want_the_same_with_different_settings_of_execution_make_it_once(tmp_path):
    jobs = [start(tmp_path, steps=30, processes=processes) for processes in (1, 2, 4)]
    assert [job.communicate()[0].strip() for job in jobs] == ["30"] * 3
    assert (tmp_path / "made").read_text() == "made\n"


# Weights on another file system


@pytest.fixture
def elsewhere(tmp_path):
    """A folder on another file system than the tests' own."""
    memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
    assert memory.stat().st_dev != tmp_path.stat().st_dev
    yield memory
    shutil.rmtree(memory)


def test_weights_may_lie_on_another_file_system_and_take_room_only_there(tmp_path, elsewhere):
    results = tmp_path / "results"
    finished_work.place(results / ".store", elsewhere)
    finished_work.get_or_make(results / ".store", KEY, make)
    folder = results / "nano/seed0/models/mix"
    finished_work.link(results / ".store", KEY, ["weights", "config.json"], folder)
    assert (folder / "weights").read_text() == "1 2 3"
    assert (folder / "weights").is_symlink()
    assert [path for path in results.rglob("weights") if not path.is_symlink()] == []
    assert list(elsewhere.rglob("weights"))
    results.rename(tmp_path / "moved")
    assert (tmp_path / "moved/nano/seed0/models/mix/weights").read_text() == "1 2 3", "results/ can be moved"
    finished_work.link(tmp_path / "moved/.store", KEY, ["weights"], tmp_path / "moved/nano/seed0/models/mix")
    assert list((tmp_path / "moved/nano/seed0/models/mix").iterdir()), "published again in the place of a link"


def test_judgments_stay_with_the_results_when_weights_go_elsewhere(tmp_path, elsewhere):
    finished_work.place(tmp_path, elsewhere)
    assert {path.name for path in elsewhere.iterdir()} == {"models", "work"}


def test_where_weights_lie_is_not_changed_under_them(tmp_path, elsewhere):
    finished_work.get_or_make(tmp_path, KEY, make)
    with pytest.raises(UserError, match=r"machine\.weights: .* holds weights already; move what is in it to"):
        finished_work.place(tmp_path, elsewhere)
    assert finished_work.find(tmp_path, KEY)
    shutil.copytree(tmp_path / "models", elsewhere / "models", dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "models")
    finished_work.place(tmp_path, elsewhere)
    finished_work.place(tmp_path, elsewhere)
    assert finished_work.find(tmp_path, KEY)
    with pytest.raises(UserError, match="holds weights already"):
        finished_work.place(tmp_path, elsewhere / "other")


def test_a_file_system_that_is_not_mounted_is_named(tmp_path, elsewhere):
    finished_work.place(tmp_path, elsewhere)
    shutil.rmtree(elsewhere / "models")
    with pytest.raises(UserError, match="is not there; mount it"):
        finished_work.place(tmp_path, None)
