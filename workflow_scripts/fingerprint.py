"""The code that a stage really uses, as hashes.

Starting from a module or one of its functions, every top-level definition that the code names is followed through
`workflow_scripts`, and the syntax trees of those reached are hashed.  What stands under `if __name__ == "__main__"` is how a
command is started, not what it makes, and is left out.  So comments, docstrings and formatting do not count, nor does another stage's
code in a shared module; a shared helper that is really used does.
"""

import ast
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).parent


class Symbol(NamedTuple):
    """A top-level definition of a module; the name '' is what the module does on import."""

    module: str
    name: str


class Source(NamedTuple):
    """A module: its definitions, what it does on import, and where the names it imports from this package come from."""

    definitions: dict[str, list[ast.stmt]]
    body: list[ast.stmt]
    imported: dict[str, Symbol]


@cache
def of(module: str, name: str = "*") -> dict[str, str]:
    """Fingerprint of a module, or of one of its definitions with all that it uses: {`module.name`: 8 hex digits}.

    A dictionary, not one hash, so that `make why` can name the function that changed.
    """
    return {
        f"{symbol.module}.{symbol.name or '(import)'}": hashlib.sha256(_dump(symbol).encode()).hexdigest()[:8]
        for symbol in sorted(_reach(Symbol(module, name)))
    }


def _reach(start: Symbol) -> set[Symbol]:
    pending, reached = [start], set()
    while pending:
        symbol = pending.pop()
        source = _source(symbol.module)
        if symbol.name == "*":
            pending += [Symbol(symbol.module, name) for name in ["", *source.definitions]]
            continue
        if symbol in reached:
            continue
        reached.add(symbol)
        pending.append(Symbol(symbol.module, ""))
        if symbol.name and symbol.name not in source.definitions:
            raise ValueError(f"{symbol.module} does not define {symbol.name}")
        statements = source.definitions.get(symbol.name, []) if symbol.name else source.body
        for statement in statements:
            pending += _uses(statement, symbol.module, source)
    return reached


def _uses(statement: ast.stmt, module: str, source: Source) -> list[Symbol]:
    found = []
    imported = {**source.imported, **_imports([n for n in ast.walk(statement) if isinstance(n, ast.ImportFrom)])}
    for node in ast.walk(statement):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in imported:
            target = imported[node.value.id]
            if target.name == "*" and node.attr in _source(target.module).definitions:
                found.append(Symbol(target.module, node.attr))
        if isinstance(node, ast.Name):
            if node.id in source.definitions:
                found.append(Symbol(module, node.id))
            elif (target := imported.get(node.id)) and target.name != "*":
                found.append(target)
    return found


@cache
def _source(module: str) -> Source:
    tree = ast.parse((ROOT / f"{module}.py").read_text(encoding="utf-8"))
    definitions: dict[str, list[ast.stmt]] = {}
    body: list[ast.stmt] = []
    for statement in tree.body:
        names = _defined(statement)
        for name in names:
            definitions.setdefault(name, []).append(statement)
        if not names and not isinstance(statement, ast.Import | ast.ImportFrom) and not _is_skipped(statement):
            body.append(statement)
    return Source(definitions, body, _imports([s for s in tree.body if isinstance(s, ast.ImportFrom)]))


def _defined(statement: ast.stmt) -> list[str]:
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name]
        case ast.Assign():
            return [n.id for target in statement.targets for n in ast.walk(target) if isinstance(n, ast.Name)]
        case ast.AnnAssign(target=ast.Name(id=name)):
            return [name]
    return []


def _imports(statements: list[ast.ImportFrom]) -> dict[str, Symbol]:
    """`from workflow_scripts import m` binds a whole module ('*'), `from workflow_scripts.m import f` one definition."""
    bound = {}
    for statement in statements:
        for alias in statement.names:
            if statement.module == PACKAGE:
                bound[alias.asname or alias.name] = Symbol(alias.name, "*")
            elif (statement.module or "").startswith(f"{PACKAGE}."):
                bound[alias.asname or alias.name] = Symbol((statement.module or "").split(".", 1)[1], alias.name)
    return bound


@cache
def _dump(symbol: Symbol) -> str:
    source = _source(symbol.module)
    statements = source.definitions.get(symbol.name, []) if symbol.name else source.body
    return "\n".join(ast.dump(_without_docstrings(statement)) for statement in statements)


def _without_docstrings(statement: ast.stmt) -> ast.stmt:
    for node in ast.walk(statement):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            node.body = [s for s in node.body if not _is_docstring(s)] or [ast.Pass()]
    return statement


def _is_skipped(statement: ast.stmt) -> bool:
    is_main = isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)
    return is_main or _is_docstring(statement)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
