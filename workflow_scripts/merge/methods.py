"""Every merge method by name: mergekit's, and those that users keep in `merge_methods/` beside their config.

A user's file registers a method in mergekit's own way (docs/create_a_merge_method.md in arcee-ai/mergekit).  What it
takes is asked once for each content of the file, in a process of its own, since mergekit imports torch.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

from workflow_scripts.base import beside, hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import CODE
from workflow_scripts.base.registry import PACKAGE
from workflow_scripts.config import merge_methods
from workflow_scripts.config.merge_methods import BUILT_IN, Method

KIND = "merge_methods"  # the folder beside the config


class _Methods(Mapping[str, Method]):
    def __getitem__(self, name: str) -> Method:
        """A method.

        Raises:
            KeyError: there is none of this name.
            UserError: a user's file has the name of one of mergekit's, cannot be run, or registers no such method.
        """
        path = own(name)
        return _described(path, path.read_bytes()) if path else BUILT_IN[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*BUILT_IN, *beside.names(KIND)])

    def __len__(self) -> int:
        return len(list(iter(self)))


METHODS = _Methods()
_known: dict[str, Method] = {}


def own(name: str) -> Path | None:
    """The user's file of a method, or None.

    Raises:
        UserError: it has the name of one of mergekit's.
    """
    path = beside.find(KIND, name)
    if path and name in BUILT_IN:
        raise UserError(f"{path}: mergekit has a {name} of its own; give the file and its method another name")
    return path


def _described(path: Path, content: bytes) -> Method:
    """What a user's method takes.

    Raises:
        UserError: the file cannot be run, or registers no method of its name.
    """
    describing = Path(__file__).with_name("describe_methods.py").read_text(encoding="utf-8")
    what = path.stem, content.decode(errors="replace"), describing, metadata.version("mergekit")
    key = hashing.of_json(what)[:20]
    said = CODE / f"merge_method-{key}.json"
    if not said.exists():
        said.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "workflow_scripts", "describe_methods", str(path), str(said)]
        place = {"PYTHONPATH": os.pathsep.join(filter(None, [str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")]))}
        done = subprocess.run(command, env={**os.environ, **place}, capture_output=True, text=True, check=False)
        if done.returncode:
            line = (done.stderr.strip().splitlines() or [f"ended with status {done.returncode}"])[-1]
            ours = line.partition("mixmerge describe_methods: ")[2]
            raise UserError(ours or f"{path}: cannot be run: {line}")
    if key not in _known:
        _known[key] = merge_methods.method(path.stem, json.loads(said.read_text(encoding="utf-8"))[path.stem], own=True)
    return _known[key]
