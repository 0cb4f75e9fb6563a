import errno
import json
import logging
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256

import pyarrow.json
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base.errors import UserError
from workflow_scripts.store.append_only import AppendOnlyRows, encode


def key(n) -> str:
    return sha256(str(n).encode()).hexdigest()


def row(n, **more):
    return {"key": key(n), "n": n, **more}


def test_rows_are_found_by_key_and_only_those(tmp_path):
    with AppendOnlyRows(tmp_path / "ledger") as rows:
        for n in range(10):
            rows.append(row(n))
        assert rows.find([key(3), key(7), key("absent")]) == {key(3): row(3), key(7): row(7)}
    with AppendOnlyRows(tmp_path / "ledger") as rows:
        assert list(rows.scan()) == [row(n) for n in range(10)]


def test_the_last_record_of_a_key_wins_within_and_across_segments(tmp_path):
    for value in (1, 2):
        with AppendOnlyRows(tmp_path) as rows:
            rows.append(row(0, value=-value))
            rows.append(row(0, value=value))
    assert AppendOnlyRows(tmp_path).find([key(0)])[key(0)]["value"] == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_an_absent_folder_has_no_rows_and_reading_leaves_nothing_behind(tmp_path):
    with AppendOnlyRows(tmp_path / "ledger") as rows:
        assert rows.find([key(0)]) == {}
        rows.commit()
    assert not (tmp_path / "ledger").exists()


@given(text=st.text(), number=st.floats(allow_nan=False, allow_infinity=False))
def test_a_line_is_one_line_with_its_key_first_and_reads_back(text, number):
    line = encode({"text": text, "number": number, "key": key(0)})
    assert line.index(b"\n") == len(line) - 1
    assert line.startswith(b'{"key": "' + key(0).encode() + b'"')
    assert json.loads(line) == {"key": key(0), "text": text, "number": number}


def test_a_key_that_a_lookup_could_not_find_is_refused(tmp_path):
    with AppendOnlyRows(tmp_path / "ledger") as rows, pytest.raises(ValueError, match="not a key"):
        rows.append({"key": "short"})


def test_another_reader_needs_none_of_our_code_even_for_hostile_text(tmp_path):
    hostile = 'line\nbreak\r\x00 \u2028 "quoted" \\ \ud83d half a pair, 😀 and हिन्दी'
    with AppendOnlyRows(tmp_path) as rows:
        rows.append(row(0, text=hostile))
        rows.append(row(1, text="plain"))
    (segment,) = tmp_path.iterdir()
    table = pyarrow.json.read_json(segment)
    assert table["key"].to_pylist() == [key(0), key(1)]
    assert table["text"][0].as_py() == hostile.replace("\ud83d", "?")


@pytest.mark.parametrize(
    "damage", [b'{"key": "' + key(1).encode() + b'", "n": 1', b"\x00" * 100, b"\n", b"rubbish}\n", b"\xff\xfe{\n"]
)
@pytest.mark.parametrize("place", ["middle", "end"])
def test_a_damaged_line_is_set_aside_named_once_and_left_as_it_was(tmp_path, caplog, damage, place):
    path = tmp_path / "a.jsonl"
    if place == "middle" and not damage.endswith(b"\n"):
        damage += b"\n"
    before, after = encode(row(0)), encode(row(2)) if place == "middle" else b""
    path.write_bytes(before + damage + after)
    kept = [0, 2] if place == "middle" else [0]
    with caplog.at_level(logging.WARNING), AppendOnlyRows(tmp_path) as rows:
        for _ in range(2):
            assert [found["n"] for found in rows.find(map(key, range(3))).values()] == kept
        rows.append(row(5))
    assert [(d.path, d.offset, d.size) for d in rows.damaged] == [(path, len(before), len(damage))]
    assert [
        str(path) in record.getMessage() and str(len(before)) in record.getMessage() for record in caplog.records
    ] == [True]
    assert path.read_bytes() == before + damage + after


def test_rows_appended_before_a_kill_are_kept_and_a_cut_line_hurts_no_other(tmp_path):
    script = """
import os, sys, signal
from pathlib import Path
from workflow_scripts.store.append_only import AppendOnlyRows
rows = AppendOnlyRows(Path(sys.argv[1]))
for n in range(100):
    rows.append({"key": f"{n:064x}", "n": n})
os.kill(os.getpid(), signal.SIGKILL)
"""
    died = subprocess.run([sys.executable, "-c", script, tmp_path], check=False)
    assert died.returncode == -signal.SIGKILL
    assert [row["n"] for row in AppendOnlyRows(tmp_path).scan()] == list(range(100))
    (segment,) = tmp_path.iterdir()
    segment.write_bytes(segment.read_bytes()[:-7])
    assert [row["n"] for row in AppendOnlyRows(tmp_path).scan()] == list(range(99))


def test_parallel_writers_each_have_a_segment_of_their_own(tmp_path):
    def write(start):
        with AppendOnlyRows(tmp_path) as rows:
            for n in range(start, start + 50):
                rows.append(row(n))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(0, 400, 50)))
    assert len(list(tmp_path.iterdir())) == 8
    rows = AppendOnlyRows(tmp_path)
    assert len(rows.find(key(n) for n in range(400))) == 400
    assert rows.damaged == []


def _disk_with_room(monkeypatch, room):
    """Files that take `room` bytes in all, then have no space left."""
    from workflow_scripts.store import append_only

    left = {"bytes": room}

    class Full(append_only.FileIO):
        def write(self, data):
            if not left["bytes"]:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            part = bytes(data)[: left["bytes"]]
            left["bytes"] -= len(part)
            return super().write(part)

    monkeypatch.setattr(append_only, "FileIO", Full)
    return left


def test_a_full_disk_is_the_users_to_mend_and_loses_nothing(tmp_path, monkeypatch):
    size = len(encode(row(0)))
    left = _disk_with_room(monkeypatch, 2 * size + size // 2)
    rows = AppendOnlyRows(tmp_path)
    rows.append(row(0))
    rows.append(row(1))
    with pytest.raises(UserError, match="No space left"):
        rows.append(row(2))
    with pytest.raises(UserError, match=str(tmp_path)):
        rows.commit()
    assert {found["n"] for found in AppendOnlyRows(tmp_path).scan()} == {0, 1}
    left["bytes"] = 1 << 20  # the user makes room, and the same process goes on
    rows.append(row(3))
    rows.close()
    assert {found["n"] for found in AppendOnlyRows(tmp_path).scan()} == {0, 1, 2, 3}


def test_a_disk_full_from_the_start_leaves_no_empty_segment(tmp_path, monkeypatch):
    _disk_with_room(monkeypatch, 0)
    with pytest.raises(UserError), AppendOnlyRows(tmp_path) as rows:
        rows.append(row(0))
    assert list(tmp_path.iterdir()) == []


def test_rows_survive_an_fsync_that_fails(tmp_path, monkeypatch):
    rows = AppendOnlyRows(tmp_path)
    rows.append(row(0))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, os.strerror(errno.EIO))))
        with pytest.raises(UserError, match="Input/output"):
            rows.commit()
    for segment in tmp_path.iterdir():
        segment.unlink()  # what the failed fsync may have lost
    rows.close()
    assert list(AppendOnlyRows(tmp_path).scan()) == [row(0)]
