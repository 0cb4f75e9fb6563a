"""A full disk is reported in one line with the bytes; what is whole stays, and halves go."""

import errno
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.unit.train.tiny import RECIPE, ROWS
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base import disk, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.store import finished_work
from workflow_scripts.train import checkpoints, trainer


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A disk of its own."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can make a disk")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)  # files of failed writes may be open


def grow(folder: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=8m", folder], check=True)


def test_a_training_on_a_full_disk_keeps_its_checkpoint_and_goes_on_when_there_is_room(
    parent: Path, small: Path, tmp_path: Path
) -> None:
    def make(state: Path, output: Path) -> dict[str, Any]:
        trainer.train({**RECIPE, "save_steps": 2}, parent, ROWS, state, output)
        return {}

    with pytest.raises(UserError, match=r"the disk is full, and 100 kB is needed in all; .* free") as error:
        finished_work.get_or_make(small, "key", make, needed=100_000)
    assert str(small) in str(error.value) and "\n" not in str(error.value)
    work = small / "work" / "key"
    assert not (work / "output").exists() and not (small / "models").exists()
    (checkpoint,) = (work / "state").glob("checkpoint-*")
    assert checkpoints.last_whole(work / "state") == checkpoint
    grow(small)
    finished_work.get_or_make(small, "key", make)
    finished_work.get_or_make(tmp_path, "key", make)
    assert finished_work.find(small, "key") == finished_work.find(tmp_path, "key")


def test_a_disk_without_room_is_seen_before_the_work(small: Path) -> None:
    with pytest.raises(UserError, match=r"1 MB to be written, but 2\d\d kB is free") as error:
        finished_work.get_or_make(small, "key", lambda *_: pytest.fail("started"), needed=1_000_000)
    assert str(small) in str(error.value)


def test_what_an_unfinished_work_wrote_before_counts(small: Path) -> None:
    (small / "half").write_bytes(bytes(150_000))
    with disk.room(small, needed=250_000):
        pass
    with pytest.raises(UserError, match="170 kB to be written"), disk.room(small, needed=320_000):
        pass


@pytest.mark.parametrize("library", ["python", "torch", "safetensors", "parquet"])
def test_a_full_disk_is_known_in_each_librarys_words(small: Path, library: str) -> None:
    (small / "filler").write_bytes(bytes(disk.free(small) - 8192))
    writes = {
        "python": lambda: (small / "x").write_bytes(bytes(100_000)),
        "torch": lambda: torch.save(torch.zeros(100_000), small / "x"),
        "safetensors": lambda: save_file({"x": torch.zeros(100_000)}, small / "x"),
        "parquet": lambda: records.write(small / "x", ROWS, records.ROWS, {"note": os.urandom(50_000).hex()}),
    }
    with pytest.raises(Exception) as raised:  # noqa: B017 (each library has its own)
        writes[library]()
    assert disk.is_full(raised.value)
    message = disk.full_disk_message(raised.value)
    assert message and "free" in message and "\n" not in message


def test_other_errors_are_not_taken_for_a_full_disk(tmp_path: Path) -> None:
    assert disk.full_disk_message(OSError(errno.EACCES, "Permission denied", "x")) is None
    with pytest.raises(ValueError, match="a bug"), disk.room(tmp_path):
        raise ValueError("a bug")
