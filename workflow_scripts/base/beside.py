"""What users keep beside their config: formats, prompts, merge methods of their own, a folder of files for each kind.

A name in the config that mixmerge does not know is that of a file in one of these folders, so nothing of a user's has
to be put inside the package.  The folders of the config files reach every job by the environment.
"""

import ast
import json
import os
import sys
import traceback
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from types import ModuleType

from workflow_scripts.base.errors import UserError

FOLDERS = "MIXMERGE_BESIDE"

# Sub-packages whose rows may also lie beside the config -> the folder there.
KINDS = {"data.formats": "formats"}


def use(configs: Iterable[Path]) -> None:
    """Look beside these config files from now on, in this process and in those that it starts.

    Where they lie is what their paths say, links not followed; without any it is the working directory.
    """
    folders = dict.fromkeys(os.path.abspath(config.parent) for config in configs) or [os.getcwd()]
    os.environ[FOLDERS] = json.dumps(list(folders))  # a path may hold any separator


def names(kind: str, suffix: str = ".py") -> list[str]:
    """The names of a kind that users have, in alphabetical order; a file whose name begins with _ has none."""
    found = {file.stem for folder in _folders() for file in (folder / kind).glob(f"*{suffix}")}
    return sorted(name for name in found if not name.startswith("_"))


def find(kind: str, name: str, suffix: str = ".py") -> Path | None:
    """The file of a name beside the config, or None; a name that is a path is no name."""
    if os.sep in name or name.startswith((".", "_")):
        return None
    return next((file for folder in _folders() if (file := folder / kind / f"{name}{suffix}").is_file()), None)


def _folders() -> list[Path]:
    return [Path(folder) for folder in json.loads(os.environ.get(FOLDERS) or "[]")]


def read(path: Path) -> bytes:
    """A user's file.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def module(path: Path) -> ModuleType:
    """What a user's Python file defines.

    Raises:
        UserError: it cannot be read, is no Python, or raises.
    """
    return _run(path, read(path))


@cache  # by content, and from the text: Python's own cache goes by seconds, and would lie beside the user's file
def _run(path: Path, text: bytes) -> ModuleType:
    made = ModuleType(f"beside_{path.parent.name}_{path.stem}")
    made.__file__ = str(path)
    sys.modules[made.__name__] = made  # as dataclasses and type hints of the file expect
    try:
        exec(compile(text, str(path), "exec", dont_inherit=True), made.__dict__)
    except (Exception, SystemExit) as error:
        raise UserError(raised(error, path)) from None
    return made


def raised(error: BaseException, path: Path) -> str:
    """What an error of a user's code says, and where in the file it came up, in one line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    what: object = error
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines, what = [error.lineno], error.msg
    at = f", line {lines[-1]}" if lines else ""
    return " ".join(f"{path}{at}: {type(error).__name__}: {what}".split())


def tree(path: Path) -> ast.Module:
    """The syntax of a user's file.

    Raises:
        UserError: it cannot be read, or is no Python.
    """
    text = read(path)  # as bytes, since the file may say its encoding
    try:
        return ast.parse(text, str(path))
    except (SyntaxError, ValueError) as error:
        raise UserError(raised(error, path)) from None
