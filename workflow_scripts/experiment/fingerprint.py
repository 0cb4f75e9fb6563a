"""The code that a stage really uses, as hashes.

Starting from a module or one of its functions, every top-level definition that the code names is followed through
`workflow_scripts`, and the syntax trees of those reached are hashed.  What stands under `if __name__ == "__main__"` is
how a command is started, not what it makes, and is left out.  So comments, docstrings and formatting do not count, nor
does another stage's code in a shared module; a shared helper that is really used does.

Where a name cannot be followed exactly (a module handed on as a value, a definition that a decorator of ours may have
registered somewhere), more is taken rather than less: too much costs a look into the store, too little goes unseen.
A `Registry` is followed to none of its rows: who chooses one adds its fingerprint, so other rows do not count.
"""

import ast
import hashlib
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base import beside

PACKAGE = "workflow_scripts"
ROOT = Path(__file__).parent.parent


class Symbol(NamedTuple):
    """A top-level definition of a module; '' is what the module does on import, '*' all of it."""

    module: str
    name: str


class Source(NamedTuple):
    """A module: its definitions, what it does on import, and where the names it imports from this package come from."""

    definitions: dict[str, list[ast.stmt]]
    body: list[ast.stmt]
    imported: dict[str, Symbol]


@cache
def of(module: str, name: str = "*", root: Path = ROOT) -> dict[str, str]:
    """Fingerprint of a module, or of one of its definitions with all that it uses: {`module.name`: 8 hex digits}.

    A dictionary, not one hash, so that `make why` can name the function that changed.

    Args:
        module: its name within the package.
        name: of a top-level definition; '*' for all of them.
        root: the package's folder, whose files are read once per process.

    Raises:
        ValueError: the module does not define the name.
    """
    return {
        f"{symbol.module}.{symbol.name or '(import)'}": hashlib.sha256(_dump(root, symbol).encode()).hexdigest()[:8]
        for symbol in sorted(_reach(root, Symbol(module, name)))
    }


def of_file(path: Path) -> str:
    """Fingerprint of a user's file, as of the package's code; what it imports is not followed (see `imported`).

    Raises:
        UserError: it is no Python.
    """
    statements = [s for s in beside.tree(path).body if not _is_skipped(s)]
    return hashlib.sha256(repr(_tree(statements)).encode()).hexdigest()[:12]


def imported(path: Path) -> set[str]:
    """The modules of this package that a user's file may import, by their names within the package.

    Raises:
        UserError: it is no Python.
    """
    names: list[str] = []
    for node in ast.walk(beside.tree(path)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return {name.removeprefix(f"{PACKAGE}.") for name in names if name.startswith(f"{PACKAGE}.")}


def _reach(root: Path, start: Symbol) -> set[Symbol]:
    pending, reached = [start], set()
    while pending:
        symbol = _resolve(root, pending.pop())
        source = _source(root, symbol.module)
        if symbol.name == "*":
            pending += [Symbol(symbol.module, name) for name in ["", *source.definitions]]
        elif symbol not in reached:
            reached.add(symbol)
            pending.append(Symbol(symbol.module, ""))
            for statement in _statements(source, symbol):
                pending += _uses(root, statement, symbol.module, source)
    return reached


def _resolve(root: Path, symbol: Symbol) -> Symbol:
    """Where a name is really defined: a module may pass on what it imports."""
    source = _source(root, symbol.module)
    if symbol.name in {"", "*", *source.definitions}:
        return symbol
    if symbol.name in source.imported:
        return _resolve(root, source.imported[symbol.name])
    if any(symbol.name in _bound(statement) for statement in source.body):
        return Symbol(symbol.module, "")
    raise ValueError(f"{symbol.module} does not define {symbol.name}")


def _statements(source: Source, symbol: Symbol) -> list[ast.stmt]:
    return source.definitions[symbol.name] if symbol.name else source.body


def _uses(root: Path, statement: ast.stmt, module: str, source: Source) -> Iterator[Symbol]:
    """What a statement names: definitions of its own module, and those of modules it imports from."""
    imported = {**source.imported, **_imports(root, [statement])}
    followed = set()  # names of modules whose attribute was found, which are not values
    for node in ast.walk(statement):  # from the outside in
        if isinstance(node, ast.Attribute) and (target := _module(node.value, imported)):
            followed.add(id(node.value))
            yield Symbol(target, node.attr)
        elif id(node) in followed:
            continue
        elif target := _module(node, imported):
            yield Symbol(target, "*")
        elif isinstance(node, ast.Name) and node.id in source.definitions:
            yield Symbol(module, node.id)
        elif isinstance(node, ast.Name) and node.id in imported:
            yield imported[node.id]


def _module(node: ast.AST, imported: dict[str, Symbol]) -> str | None:
    """The module that an expression is: an imported name, or `heavy("name")` as in `process.command`."""
    match node:
        case ast.Name(id=name) if name in imported and imported[name].name == "*":
            return imported[name].module
        case ast.Call(func=ast.Attribute(attr="heavy") | ast.Name(id="heavy"), args=[ast.Constant(value=str(name))]):
            return name
    return None


def _file(root: Path, module: str) -> Path:
    place = root.joinpath(*module.split("."))
    return place / "__init__.py" if place.is_dir() else place.with_suffix(".py")


@cache
def _source(root: Path, module: str) -> Source:
    tree = ast.parse(_file(root, module).read_text(encoding="utf-8"))
    statements = [s for s in tree.body if not _is_skipped(s)]
    imported = _imports(root, (s for s in statements if not isinstance(s, ast.FunctionDef | ast.AsyncFunctionDef)))
    plain = {name for statement in statements for name in _assigned(statement, ast.Store)}
    definitions: dict[str, list[ast.stmt]] = {}
    body: list[ast.stmt] = []
    for statement in statements:
        changed = [name for name in _assigned(statement, ast.Load) if name in plain]  # as by REGISTRY["x"] = f
        names = [*_assigned(statement, ast.Store), *changed]
        for name in names:
            definitions.setdefault(name, []).append(statement)
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        if not is_import and (not names or _is_registered(statement, plain | imported.keys())):
            body.append(statement)
    return Source(definitions, body, imported)


def _assigned(statement: ast.stmt, context: type[ast.expr_context]) -> list[str]:
    """The names that a statement binds (Store), or into whose value it writes (Load)."""
    match statement:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            return [statement.name] if context is ast.Store else []
        case ast.Assign() | ast.AnnAssign() | ast.AugAssign():
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            names = [n for target in targets for n in ast.walk(target) if isinstance(n, ast.Name)]
            return [n.id for n in names if isinstance(n.ctx, context)]
    return []


def _is_registered(statement: ast.stmt, ours: set[str]) -> bool:
    """Whether a decorator of this package sees the definition on import."""
    decorators = getattr(statement, "decorator_list", [])
    return any(isinstance(n, ast.Name) and n.id in ours for decorator in decorators for n in ast.walk(decorator))


def _bound(statement: ast.stmt) -> set[str]:
    """Every name that a compound statement may bind."""
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    names |= {n.name for n in ast.walk(statement) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
    imports = [n for n in ast.walk(statement) if isinstance(n, ast.Import | ast.ImportFrom)]
    return names | {(alias.asname or alias.name).split(".")[0] for n in imports for alias in n.names}


def _imports(root: Path, statements: Iterable[ast.stmt]) -> dict[str, Symbol]:
    """`from workflow_scripts.room import m` binds a module ('*'), `from workflow_scripts.room.m import f` a name."""
    bound = {}
    for node in (n for statement in statements for n in ast.walk(statement) if isinstance(n, ast.ImportFrom)):
        package, _, place = (node.module or "").partition(".")
        for alias in node.names if package == PACKAGE else []:
            module = ".".join(filter(None, [place, alias.name]))
            is_module = _file(root, module).is_file()
            bound[alias.asname or alias.name] = Symbol(module, "*") if is_module else Symbol(place, alias.name)
    return bound


@cache
def _dump(root: Path, symbol: Symbol) -> str:
    return "\n".join(repr(_tree(s)) for s in _statements(_source(root, symbol.module), symbol))


def _tree(value: Any) -> Any:
    """A syntax tree as tuples, the same in every Python: without places, docstrings and what is empty."""
    if isinstance(value, list):
        return [_tree(item) for item in value if not (isinstance(item, ast.stmt) and _is_docstring(item))]
    if isinstance(value, ast.AST):
        fields = [(name, _tree(field)) for name, field in ast.iter_fields(value) if name != "kind"]
        return (type(value).__name__, *((name, field) for name, field in fields if field not in (None, [])))
    return value


def _is_skipped(statement: ast.stmt) -> bool:
    is_main = isinstance(statement, ast.If) and "__name__" in ast.dump(statement.test)
    return is_main or _is_docstring(statement)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
