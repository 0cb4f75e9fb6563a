"""Edits of the source code, and what `code.lock` then says of them."""

import ast
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

from bench.stale.edit import Patch
from bench.stale.run import Run, environment

SAME = """
import sys
from workflow_scripts.experiment import code_lock
lock, units = dict(code_lock.read()), sys.argv[1:]
assert sorted(units) == code_lock.unlocked(lock), code_lock.unlocked(lock)
lock |= {unit: lock[unit]._replace(code=code_lock.now(unit)) for unit in units}
code_lock.LOCK.write_text(code_lock.text(lock))
"""


def edit(file: str, change: Callable[[str], str]) -> Patch:
    """Change the text of a file."""

    def patch(run: Run) -> None:
        path = run.code / file
        text = path.read_text()
        changed = change(text)
        assert changed != text, f"{file}: the edit changes nothing"
        path.write_text(changed)

    return patch


def replace(module: str, old: str, new: str) -> Patch:
    """Replace a text in a module wherever it stands."""
    return edit(f"workflow_scripts/{module}.py", lambda text: text.replace(old, new))


def comment(module: str) -> Patch:
    """Add a comment and an empty line."""
    return edit(f"workflow_scripts/{module}.py", lambda text: text + "\n\n# An afterthought.\n")


def docstring(module: str) -> Patch:
    """Reword a module's docstring."""
    return edit(f"workflow_scripts/{module}.py", lambda text: text.replace('"""', '"""In other words: ', 1))


def statement(module: str, function: str) -> Patch:
    """Make a real change in a function: another statement, that changes no result."""
    return insert(module, function, "_ = 'an edit'")


def insert(module: str, place: str, line: str) -> Patch:
    """Insert a line at the beginning of a function or class (`Class.function`; '': the module), after its docstring."""

    def change(text: str) -> str:
        body: Any = ast.parse(text)
        for name in filter(None, place.split(".")):
            body = next(node for node in body.body if getattr(node, "name", None) == name)
        first = body.body[1] if isinstance(getattr(body.body[0], "value", None), ast.Constant) else body.body[0]
        lines = text.splitlines(keepends=True)
        lines.insert(first.lineno - 1, " " * first.col_offset + line + "\n")
        return "".join(lines)

    return edit(f"workflow_scripts/{module}.py", change)


def add_row(registry: str, like: str) -> Patch:
    """Add a row to a registry, the copy of another: a file, and nothing else."""

    def patch(run: Run) -> None:
        folder = run.code / "workflow_scripts" / registry
        (folder / "mine.py").write_text((folder / f"{like}.py").read_text())

    return patch


def lock_same(*units: str) -> Patch:
    """Lock these units, which must be all that changed, as `SAME` does after its fixtures gave the same."""

    def patch(run: Run) -> None:
        env = {**environment(), "PYTHONPATH": str(run.code)}
        ended = subprocess.run(
            [sys.executable, "-c", SAME, *units], cwd=run.folder, env=env, capture_output=True, text=True
        )
        assert not ended.returncode, ended.stderr

    return patch


def lock_new(*units: str) -> Patch:
    """Lock these units, which must be all that changed: their results are new."""
    return lambda run: run.command("lock_code", "--new", *units) and None


def version(package: str, found: str) -> Patch:
    """Let a library say that it is of another version."""

    def patch(run: Run) -> None:
        folder = run.folder.parent / f"other-{package}"
        place = folder / f"{package}-{found}.dist-info"
        place.mkdir(parents=True, exist_ok=True)
        (place / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: {found}\n")
        known = run.environment.get("PYTHONPATH")
        run.environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(folder), known]))

    return patch
