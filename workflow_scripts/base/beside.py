"""What users keep beside their config: formats, prompts, merge methods of their own, a folder of files for each kind.

A name in the config that mixmerge does not know is that of a file in one of these folders, so nothing of a user's has
to be put inside the package.  The folders of the config files reach every job by the environment.
"""

import ast
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from workflow_scripts.base.errors import UserError

FOLDERS = "MIXMERGE_BESIDE"

# Sub-packages whose rows may also lie beside the config -> the folder there.
KINDS = {"data.formats": "formats"}


def use(configs: Iterable[Path]) -> None:
    """Look beside these config files from now on, in this process and in those that it starts."""
    folders = dict.fromkeys(str(config.resolve().parent) for config in configs)
    os.environ[FOLDERS] = os.pathsep.join(folders)


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
    return [Path(folder) for folder in os.environ.get(FOLDERS, "").split(os.pathsep) if folder]


def module(path: Path) -> ModuleType:
    """Run a user's Python file.

    Raises:
        UserError: it is no Python, or raises.
    """
    spec = importlib.util.spec_from_file_location(f"beside_{path.parent.name}_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[made.__name__] = made  # as dataclasses and type hints of the file expect
    try:
        spec.loader.exec_module(made)
    except Exception as error:
        raise UserError(f"{path}{_line(error, path)}: {said(error)}") from None
    return made


def said(error: BaseException) -> str:
    """What an error of a user's code says, in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _line(error: Exception, path: Path) -> str:
    """Where in a user's file an error came up, as `, line 3`."""
    if isinstance(error, SyntaxError):
        return f", line {error.lineno}"
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    return f", line {lines[-1]}" if lines else ""


def tree(path: Path) -> ast.Module:
    """The syntax of a user's file.

    Raises:
        UserError: it is no Python, or no text.
    """
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError) as error:
        line = f", line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise UserError(f"{path}{line}: {said(error)}") from None
