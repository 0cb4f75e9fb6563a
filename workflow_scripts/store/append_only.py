"""Append-only rows found by key, for completions and for judgments.

They lie in a folder of JSONL files, called segments.  Every process writes one segment of its own, never one of another
and never twice, so nothing here needs a lock, and no lock of a network file system has to be trusted.  A line begins
with ``{"key": "<64 hex digits>"``, at fixed offsets, so that a lookup reads raw bytes and parses only the lines it
wants.  A line that a kill or a full disk cut off is set aside and named; the file that holds it is never touched.
"""

import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import Any, NamedTuple, Self

from workflow_scripts.base.errors import UserError

HEAD = b'{"key": "'
KEY = slice(len(HEAD), len(HEAD) + 64)
TAIL = b"}\n"
MOST_UNSYNCED = 4 << 20  # bytes; rows are kept until they are known to be on the disk, so this bounds the memory

log = logging.getLogger(__name__)


class Damage(NamedTuple):
    """A line that is not a whole record."""

    path: Path
    offset: int  # bytes from the start of the file
    size: int  # bytes


class AppendOnlyRows:
    """Rows in a folder: found by key among all segments, appended to a segment of this process alone.

    Attributes:
        damaged: the lines that lookups met and set aside, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.damaged: list[Damage] = []
        self._file: FileIO | None = None
        self._unsynced = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def find(self, keys: Iterable[str]) -> dict[str, dict[str, Any]]:
        """The rows that have one of these keys; of several with one key, the last (in the latest segment)."""
        return {row["key"]: row for row in self.scan(keys)}

    def scan(self, keys: Iterable[str] | None = None) -> Iterator[dict[str, Any]]:
        """Every row, or every row that has one of these keys, in the order of segments and of lines."""
        wanted = None if keys is None else {key.encode() for key in keys}
        if wanted is None or wanted:
            # Names begin with the time, so that a later segment's rows come later.
            for path in sorted(self.folder.glob("*.jsonl")):
                yield from self._scan_segment(path, wanted)

    def append(self, row: dict[str, Any]) -> None:
        """Hand a row to the operating system: a kill of this process cannot lose it, a power cut can until `commit`.

        Args:
            row: a record for JSON, with 64 hexadecimal digits under "key".

        Raises:
            UserError: the disk is full or fails; the row is kept for the next attempt.
        """
        line = encode(row)
        if line[KEY.stop : KEY.stop + 1] != b'"':
            raise ValueError(f"not a key of 64 hexadecimal digits: {row['key']!r}")
        self._unsynced += line
        with self._abandoning():
            # A new segment starts with what an abandoned one may not have kept.
            self._write(line if self._file else bytes(self._unsynced))
        if len(self._unsynced) > MOST_UNSYNCED:
            self.commit()

    def commit(self) -> None:
        """Wait until every appended row is on the disk.

        Raises:
            UserError: the disk is full or fails; rows committed earlier are safe, later ones wait for the next attempt.
        """
        if self._unsynced:
            with self._abandoning():
                if not self._file:
                    self._write(bytes(self._unsynced))
                assert self._file
                os.fsync(self._file.fileno())
            self._unsynced.clear()

    def close(self) -> None:
        """Commit, and let go of the segment."""
        try:
            self.commit()
        finally:
            if self._file:
                self._file.close()
                self._file = None

    def _scan_segment(self, path: Path, wanted: set[bytes] | None) -> Iterator[dict[str, Any]]:
        offset = 0
        with path.open("rb", buffering=1 << 20) as lines:
            for line in lines:
                if not (line.startswith(HEAD) and line.endswith(TAIL)):
                    self._set_aside(Damage(path, offset, len(line)))
                elif wanted is None or line[KEY] in wanted:
                    try:
                        yield json.loads(line)
                    except ValueError:
                        self._set_aside(Damage(path, offset, len(line)))
                offset += len(line)

    def _set_aside(self, damage: Damage) -> None:
        if damage not in self.damaged:
            self.damaged.append(damage)
            log.warning(
                "%s: the %d bytes at byte %d are no whole row (cut off, or still being written); they are ignored",
                damage.path,
                damage.size,
                damage.offset,
            )

    def _write(self, data: bytes) -> None:
        if self._file is None:
            self.folder.mkdir(parents=True, exist_ok=True)
            now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
            host = "".join(c if c.isalnum() else "-" for c in socket.gethostname())[:60]
            self._file = FileIO(self.folder / f"{now}-{host}-{os.getpid()}-{os.urandom(4).hex()}.jsonl", "x")
            _sync_folder(self.folder)
        while data:
            data = data[self._file.write(data) :]

    @contextmanager
    def _abandoning(self) -> Iterator[None]:
        """Leave a segment for good once it fails: what an fsync that failed has kept, nobody knows."""
        try:
            yield
        except OSError as error:
            file, self._file = self._file, None
            if file:
                with suppress(OSError):
                    file.close()
                with suppress(OSError):
                    if not Path(str(file.name)).stat().st_size:
                        Path(str(file.name)).unlink()
            raise UserError(
                f"{self.folder}: cannot write ({error.strerror}); make room or fix the disk, then run again: "
                "the rows written so far are kept"
            ) from None


def encode(row: dict[str, Any]) -> bytes:
    r"""One line of a segment.

    Half a surrogate pair is no text, and other readers refuse it: it becomes a question mark.

    >>> encode({"text": "é", "key": "0" * 64})[:20], encode({"key": "", "text": "\ud83d"})
    (b'{"key": "00000000000', b'{"key": "", "text": "?"}\n')
    """
    text = json.dumps({"key": row["key"], **row}, ensure_ascii=False, allow_nan=False)
    return text.encode(errors="replace") + b"\n"


def _sync_folder(folder: Path) -> None:
    """Make a new file's name durable, where the file system can."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)
