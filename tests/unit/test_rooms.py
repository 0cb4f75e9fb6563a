"""The rooms of the package: each imports only from lower floors or from itself, and no module goes round in a circle.

Imports within functions count as well, and so do the names of modules that are imported when they are needed.
"""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "workflow_scripts"
FLOORS = (  # from the ground up; rooms on one floor do not import one another
    ("base",), ("metrics",), ("config",), ("store",), ("statistics", "miniature"), ("process",), ("llm",), ("models",),
    ("judge", "merge"), ("paper",), ("data",), ("generate",), ("train",), ("experiment",), ("forecast",), ("run",),
)  # fmt: skip
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
BY_NAME = {"heavy", "import_module"}  # functions that import the module they are given the name of
LIMIT = 400  # lines of a file


def module_of(path: Path) -> str:
    """A module's name within the package; a sub-package's is that of its folder."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """The modules of the package that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE.name:
            place = (node.module or "").partition(".")[2]
            for alias in node.names:
                inner = ".".join(filter(None, [place, alias.name]))
                found.add(inner if inner in MODULES else place)
        if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in BY_NAME:
            name = getattr(node.args[0], "value", "") if node.args else ""
            found |= {str(name).removeprefix(f"{PACKAGE.name}.")} & MODULES.keys()
    return found - {"", module_of(path)}  # a program imports itself by its name


MODULES = {module_of(path): path for path in PACKAGE.rglob("*.py")}
IMPORTS = {name: imports(path) for name, path in MODULES.items()}


def test_every_room_has_a_floor_and_every_floor_a_room():
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert rooms == FLOOR.keys()
    assert {path.stem for path in PACKAGE.glob("*.py")} == {"__init__", "__main__"}


@pytest.mark.parametrize("room", FLOOR)
def test_a_room_imports_only_from_lower_floors_and_from_itself(room):
    wrong = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if name.partition(".")[0] == room and (where := other.partition(".")[0]) != room and FLOOR[where] >= FLOOR[room]
    ]
    assert wrong == []


def test_no_room_of_the_package_imports_its_entry():
    assert not [name for name, others in IMPORTS.items() if "__main__" in others]


def test_no_modules_import_one_another_in_a_circle():
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " imports ".join([*way[way.index(name) :], name])
        if name not in done:
            for other in sorted(IMPORTS[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in IMPORTS:
        visit(name, ())


def test_a_row_of_a_registry_does_not_import_its_registry():
    """Else a row could not be added without code that knows it, and its code would be that of all rows."""
    for name, others in IMPORTS.items():
        folder = name.rpartition(".")[0]
        registry = MODULES.get(folder)
        if registry and "Registry" in registry.read_text(encoding="utf-8"):
            assert folder not in others, name


def test_no_file_is_longer_than_it_can_be_seen_through():
    folders = ("workflow_scripts", "rules", "tests", "bench")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".smk")]
    files.append(ROOT / "Snakefile")
    assert len(files) > 200
    lengths = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files}
    assert {name: length for name, length in lengths.items() if length > LIMIT} == {}


def test_no_two_test_files_have_one_name():
    """They are collected together, and pytest knows a file of a folder that is no package by its name alone."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
