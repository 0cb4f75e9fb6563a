"""An edit changes the fingerprint of exactly the stages that use what was edited."""

import ast
import re
from pathlib import Path

import pytest

from workflow_scripts.experiment import fingerprint
from workflow_scripts.experiment.stages import STAGES
from workflow_scripts.process import job

STAGE = '''"""A stage."""
from workflow_scripts import {modules}
from workflow_scripts.helpers import direct
LIMIT = 3

def work(x):
    """What it does."""
    total = x + LIMIT
    {body}
    return total

def beside():
    return 1

if __name__ == "__main__":
    work(2)
'''
HELPERS = '''"""Helpers."""
from workflow_scripts.deep import passed_on
{top}
def direct(x):
    return x

def other(x):
    return x * 2

def register(function):
    return function

class Base:
    value = 1

REGISTRY = {{"a": direct, "b": other}}
{bottom}
'''
DEEP = "def passed_on():\n    return {value}\n\ndef unused():\n    return 0\n"


@pytest.fixture
def package(tmp_path):
    """Write a package of a stage and its helpers and fingerprint the stage's work."""
    written = []

    def write(body="pass", modules="helpers", stage=STAGE, helpers=HELPERS, edit=(), top="", bottom="", value=7):
        root = tmp_path / str(len(written))
        root.mkdir()
        written.append(root)
        files = {
            "stage": stage.format(body=body, modules=modules),
            "helpers": helpers.format(top=top, bottom=bottom),
            "deep": DEEP.format(value=value),
        }
        for name, text in files.items():
            if edit and edit[0] == name:
                assert edit[1] in text, "the edit must change something"
                text = text.replace(edit[1], edit[2])
            (root / f"{name}.py").write_text(text)
        return fingerprint.of("stage", "work", root)

    return write


DOUBLED = ("helpers", "x * 2", "x * 3")


@pytest.mark.parametrize(
    "edit",
    [
        ("stage", '"""What it does."""', '"""Something else,\n    at length."""'),
        ("stage", '    """What it does."""\n', ""),
        ("stage", "total = x + LIMIT", "total = (x  +\n        LIMIT)  # why\n"),
        ("stage", '"""A stage."""\n', "# a comment\n\n\n"),
        ("stage", "return 1", "return 2"),  # another function of the module
        ("stage", "work(2)", "work(3)"),  # how the command is started
        DOUBLED,  # a helper that is not used
        ("deep", "return 0", "return 1"),
    ],
)
def test_edits_that_cannot_change_the_work_leave_its_fingerprint_alone(package, edit):
    assert package("total = direct(total)") == package("total = direct(total)", edit=edit)


@pytest.mark.parametrize(
    "edit",
    [
        ("stage", "x + LIMIT", "x - LIMIT"),
        ("stage", "LIMIT = 3", "LIMIT = 4"),
        ("stage", "total = x", "amount = total = x"),
        ("helpers", "def direct(x):\n    return x", "def direct(x):\n    return -x"),
    ],
)
def test_edits_of_what_the_work_uses_change_its_fingerprint(package, edit):
    assert package("total = direct(total)") != package("total = direct(total)", edit=edit)


@pytest.mark.parametrize(
    "body",
    [
        "total = helpers.other(x)",
        "total = helpers.REGISTRY['b'](x)",
        "from workflow_scripts.helpers import other\n    total = other(x)",
        "from workflow_scripts.helpers import other as renamed\n    total = renamed(x)",
        "from workflow_scripts import helpers as h\n    total = h.other(x)",
        "function = getattr(helpers, 'oth' + 'er')",
        "for module in (helpers,):\n        total = module.other(x)",
        "def inner(y=helpers.other(1)):\n        return y",
        "@helpers.other\n    def inner():\n        return 1",
        "class Inner(helpers.other(int)):\n        pass",
        "match x:\n        case y if helpers.other(y):\n            pass",
        "match x:\n        case 1:\n            total = helpers.other(x)",
        "total = [helpers.other(y) for y in (lambda z: z)(x)]",
        "total = f'{helpers.other(x)}'",
        "total = cli.heavy('helpers').other(x)",
        "module = cli.heavy('helpers')\n    total = module.other(x)",
    ],
)
def test_a_helper_counts_however_it_is_reached(package, body):
    assert package(body) != package(body, edit=DOUBLED)
    assert package(body) == package(body, edit=("deep", "return 0", "return 1"))


def test_class_bases_and_decorators_of_definitions_count(package):
    stage = STAGE.replace("LIMIT = 3", "LIMIT = 3\nclass Own(helpers.Base):\n    pass\n")
    assert package("total = Own()", stage=stage) != package(
        "total = Own()", stage=stage, edit=("helpers", "value = 1", "value = 2")
    )
    stage = STAGE.replace("def work(x):", "@helpers.other\ndef work(x, y=LIMIT):")
    assert package(stage=stage) != package(stage=stage, edit=DOUBLED)
    assert package(stage=stage) != package(stage=stage, edit=("stage", "LIMIT = 3", "LIMIT = 4"))


def test_a_name_that_a_module_passes_on_is_followed_to_where_it_is_defined(package):
    for body in ("total = helpers.passed_on()", "from workflow_scripts.helpers import passed_on\n    passed_on()"):
        assert package(body) != package(body, value=8)


def test_what_a_module_does_on_import_counts_for_all_that_use_it(package):
    used, registered = "total = direct(x)", "@register\ndef late():\n    return {}\n"
    assert package(used) != package(used, top="import os\nos.environ['A'] = '1'\n")
    assert package(used) != package(used, bottom="REGISTRY.update(c=direct)\n")
    assert package(used, bottom=registered.format(1)) != package(used, bottom=registered.format(2))
    assert package("total = helpers.REGISTRY") != package("total = helpers.REGISTRY", bottom="REGISTRY['c'] = 1\n")
    assert package("total = helpers.REGISTRY") != package("total = helpers.REGISTRY", bottom="REGISTRY |= {{}}\n")


def test_names_bound_within_a_condition_on_import_are_followed(package):
    top = "try:\n    from workflow_scripts.deep import passed_on as found\nexcept ImportError:\n    found = None\n"
    helpers = HELPERS.replace("def direct(x):\n    return x", "def direct(x):\n    return found()")
    used = {"helpers": helpers, "top": top, "body": "total = direct(x)"}
    assert package(**used) != package(**used, value=8)
    assert package("total = helpers.flag", bottom="if LIMIT:\n    flag = 1\n") != package(
        "total = helpers.flag", bottom="if LIMIT:\n    flag = 2\n"
    )


def test_a_definition_that_is_not_there_is_an_error_and_not_an_empty_fingerprint(package, tmp_path):
    package()
    with pytest.raises(ValueError, match="stage does not define missing"):
        fingerprint.of("stage", "missing", tmp_path / "0")
    with pytest.raises(ValueError, match="helpers does not define missing"):
        package("total = helpers.missing(x)")


def test_the_fingerprint_names_what_changed(package):
    before, after = package("total = helpers.other(x)"), package("total = helpers.other(x)", edit=DOUBLED)
    assert {name for name in before if before[name] != after[name]} == {"helpers.other"}


def test_every_python_gives_the_same_hash(package):
    """Later versions of Python add empty fields to syntax trees; a results folder must not depend on them."""
    assert package()["stage.LIMIT"] == "bc89c4f5"


def test_every_stage_has_a_work_function_and_a_command_that_can_be_followed():
    for stage in STAGES.values():
        for module, _, function in (work.partition(":") for work in stage.work):
            assert f"{module}.{function}" in fingerprint.of(module, function)
        command = job.module_of(stage.command).removeprefix(f"{fingerprint.PACKAGE}.")
        assert f"{command}.make" in fingerprint.of(command, "make")


def test_the_package_imports_itself_only_in_ways_that_are_followed():
    for path in sorted(fingerprint.ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{path.name}: relative import"
                ours = (node.module or "").startswith(fingerprint.PACKAGE)
                assert not (ours and any(a.name == "*" for a in node.names)), f"{path.name}: import of all names"
            if isinstance(node, ast.Import):
                assert not any(a.name.startswith(fingerprint.PACKAGE) for a in node.names), f"{path.name}: plain import"


def test_a_training_does_not_depend_on_how_models_are_initialised_nor_on_other_stages():
    parts = set(fingerprint.of("train.trainer", "train"))
    assert "train.random_model.initialise" not in parts
    assert not [part for part in parts if re.match(r"(merge|generate|judge|paper)\.", part)]


def test_rows_of_a_dataset_depend_on_their_own_format_and_on_no_other():
    rows = fingerprint.of("data.dataset", "rows")
    assert "data.formats.FORMATS" in rows and not [part for part in rows if "polyguard" in part]
    row = fingerprint.of("data.formats.polyguard")
    assert {"data.formats.polyguard._row", "data.formats._polyguard.is_harmful"} <= set(row)
    assert not [part for part in row if "benign" in part]


def test_files_are_read_from_the_given_root(tmp_path):
    assert Path(fingerprint.__file__).parents[1] == fingerprint.ROOT
    with pytest.raises(FileNotFoundError):
        fingerprint.of("config.experiment", "Config", tmp_path)
