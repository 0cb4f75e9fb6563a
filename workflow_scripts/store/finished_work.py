"""Finished work, found again by content.

results/.store/models/<key>/   a finished directory, with
    entry.json                 the hash of each file, and facts of its content
    execution.json             when, where and how it was made: for people and forecasts, no part of any result
results/.store/work/<key>/     the state of unfinished work, from which a killed job goes on; <key>-<digits>/ where
                               settings of execution were given: what began with some does not go on with others
results/.store/completions/    rows by model and engine   } append-only, see `append_only`
results/.store/translations/   pieces by translator       }
results/.store/judgments/      rows by request            }

`models` and `work` may be links to another file system with more room (`place`).

A key is the hash of what decides the content: the settings and code of a recipe and the content of its inputs, never
a name.
The store is a cache: delete it and only time is lost.
"""

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from workflow_scripts.base import disk, hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.store.execution import measured

Make = Callable[[Path, Path], dict[str, Any]]  # (state, output) -> facts; those under "execution" go to execution.json


def key(work: dict[str, Any], **inputs: Any) -> str:
    """The key of what a recipe makes from inputs, which are given by content; their order counts."""
    return hashing.of_json({"work": work, "inputs": inputs})


def find(store: Path, key: str) -> dict[str, Any] | None:
    """The entry of finished work, checked against its hashes; None where there is none, or its files were released.

    Raises:
        UserError: a file of the entry is not what it was.
    """
    entry, folder = known(store, key), store / "models" / key
    if entry is None or entry["released"]:
        return None
    for name, sha256 in entry["files"].items():
        if not (folder / name).exists() or hashing.of_file(folder / name) != sha256:
            raise _damaged(folder, name)
    return entry


def known(store: Path, key: str) -> dict[str, Any] | None:
    """What the store says of work that was finished once, whether its files are there or were released.

    Raises:
        UserError: it cannot be read.
    """
    folder = store / "models" / key
    if not (folder / "entry.json").exists():
        return None
    try:
        entry = {"released": False, **json.loads((folder / "entry.json").read_text())}
        return {name: entry[name] for name in ("files", "facts", "released")}
    except (ValueError, KeyError, TypeError):
        raise _damaged(folder, "entry.json") from None


def release(store: Path, key: str) -> None:
    """Remove the files of an entry, and keep what is known of them."""
    if entry := known(store, key):
        folder = store / "models" / key
        write_text(folder / "entry.json", json.dumps({**entry, "released": True}, indent=1, sort_keys=True))
        for name in entry["files"]:
            (folder / name).unlink(missing_ok=True)


def execution_of(store: Path, key: str) -> dict[str, Any] | None:
    """When, where and how finished work was made; None where that is not known."""
    try:
        return dict(json.loads((store / "models" / key / "execution.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None


def unfinished(store: Path, key: str) -> list[Path]:
    """The folders of a key's unfinished work: one for each choice of settings of execution that it began with."""
    return [path for path in sorted((store / "work").glob(f"{key}*")) if path.name == key or path.name[len(key)] == "-"]


def get_or_make(
    store: Path, key: str, make: Make, needed: float = 0, execution: Mapping[str, Any] = {}
) -> dict[str, Any]:
    """The entry of a key: found, or made once, however many jobs ask for it at the same time.

    `make` fills a fresh `output` folder and may keep state in another, which survives a kill and is there again when
    the work goes on with the same settings of execution; the output becomes an entry by one rename.

    Args:
        store: the store's folder.
        key: of the work and its inputs.
        make: does the work.
        needed: the bytes that it will have written, where they are known.
        execution: settings that do not decide the result, and are part of no key.

    Raises:
        UserError: the disk is full, or has no room for what is needed; no half of an output is left.
    """
    if entry := find(store, key):
        return entry
    with disk.locked(store / "work" / key):
        if entry := find(store, key):
            return entry
        work = store / "work" / (f"{key}-{hashing.of_json(dict(execution))[:16]}" if execution else key)
        entry = _made(work, make, needed, execution)
        (store / "models").mkdir(exist_ok=True)
        shutil.rmtree(store / "models" / key, ignore_errors=True)  # what has no entry.json is no entry, or was released
        (work / "output").rename(store / "models" / key)
        _sync(store / "models")
        for folder in unfinished(store, key):
            shutil.rmtree(folder)
    return entry


def _made(work: Path, make: Make, needed: float, execution: Mapping[str, Any]) -> dict[str, Any]:
    """Do the work; its output is whole in the folder of the work, with what is to be known of it."""
    output, state = work / "output", work / "state"
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    state.mkdir(exist_ok=True)
    resumed = any(state.iterdir())
    try:
        with disk.room(work, needed):
            with measured(execution) as record:
                facts = dict(make(state, output))
            record |= {"resumed": resumed, **facts.pop("execution", {})}
            files = {p.relative_to(output).as_posix(): p for p in sorted(output.rglob("*")) if p.is_file()}
            hashes = {name: hashing.of_file(path) for name, path in files.items()}
            entry = {"files": hashes, "facts": facts, "released": False}
            for name, content in (("execution.json", record), ("entry.json", entry)):
                write_text(output / name, json.dumps(content, indent=1, sort_keys=True))
            for path in files.values():
                _sync(path)
    except BaseException:
        shutil.rmtree(output, ignore_errors=True)
        raise
    return entry


def link(store: Path, key: str, names: list[str], folder: Path) -> None:
    """Put files of an entry into a folder, each whole or not at all: as hard links, and where there are none as copies.

    Where the weights lie on another file system than the folder, a symbolic link through the store stands for each
    file, relative, so that results/ can be moved: a copy would take the room that the other file system was chosen for.
    """
    for name in names:
        file = store / "models" / key / name
        with _whole(folder / name) as partial:
            try:
                os.link(file, partial)
            except OSError as error:
                if error.errno == errno.EXDEV:
                    partial.symlink_to(os.path.relpath(file.absolute(), folder.absolute()))
                else:
                    shutil.copyfile(file, partial)
                    _sync(partial)


def place(store: Path, weights: Path | None) -> None:
    """Let models, and the state of unfinished ones, lie in a folder of another file system; None: in the store itself.

    Raises:
        UserError: they lie elsewhere already.
    """
    for name in ("models", "work"):
        here = store / name
        if weights is None:
            if here.is_symlink() and not here.exists():
                raise UserError(
                    f"{here}: leads to {os.readlink(here)}, which is not there; mount it, or remove the link"
                )
            continue
        there = weights.absolute() / name
        there.mkdir(parents=True, exist_ok=True)
        if here.is_symlink() and here.resolve() == there.resolve():
            continue
        if here.is_dir() and not here.is_symlink() and all(path.suffix == ".lock" for path in here.iterdir()):
            shutil.rmtree(here)
        if here.is_symlink() or here.exists():
            lies = os.readlink(here) if here.is_symlink() else here
            raise UserError(
                f"machine.weights: {lies} holds weights already; move what is in it to {there}, and remove {here}"
            )
        store.mkdir(parents=True, exist_ok=True)
        here.symlink_to(there)


def write_text(path: Path, text: str) -> None:
    """Write a small file whole or not at all."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all."""
    with _whole(path) as partial:
        partial.write_bytes(content)
        _sync(partial)


@contextmanager
def _whole(path: Path) -> Iterator[Path]:
    """A place beside a file to prepare it; at the end it takes the file's place, and after an error it is gone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.unlink(missing_ok=True)
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _damaged(folder: Path, name: str) -> UserError:
    return UserError(
        f"{folder / name}: is damaged (its sha256 is not the one recorded); "
        f"`make discard FILE={folder}` lets the next run make it again"
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
