"""A version of code moves when results may have: not when something is added, reworded or laid out anew."""

import ast
import json
import re
import shutil
from pathlib import Path

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.registry import Registry
from workflow_scripts.experiment import code_lock, fingerprint
from workflow_scripts.experiment.code_lock import Locked
from workflow_scripts.experiment.stages import STAGES

A, B, C = "a" * 12, "b" * 12, "c" * 12


# The file


def test_a_lock_is_read_as_it_was_written_a_line_for_each_unit(tmp_path):
    lock = {"train:dpo": Locked(A, B, "no GPU"), "mixture": Locked(C, C)}
    path = tmp_path / "code.lock"
    path.write_text(code_lock.text(lock))
    assert code_lock.read(path) == lock
    assert [line.split(":")[0].strip(' "') for line in path.read_text().splitlines()[1:-1]] == ["mixture", "train"]
    assert "untested" not in path.read_text().splitlines()[1]


def test_a_lock_that_is_missing_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"^code\.lock: no such file; take it from the repository") as refused:
        code_lock.read(tmp_path / "code.lock")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f'{{\n<<<<<<< HEAD\n "a": {{"results": "{A}", "code": "{A}"}}\n=======\n}}\n>>>>>>> b\n', "conflict markers"),
        ("", "is not as `make lock-code` writes it"),
        ("not JSON", "is not as `make lock-code` writes it"),
        ("[]", "is not as `make lock-code` writes it"),
        ('{"a": "b"}', "is not as `make lock-code` writes it"),
        ('{"a": null}', "is not as `make lock-code` writes it"),
        (f'{{"a": {{"results": "{A}"}}}}', "is not as `make lock-code` writes it"),
        (f'{{"a": {{"results": "{A}", "code": "{A}", "more": 1}}}}', "is not as `make lock-code` writes it"),
        (f'{{"a": {{"results": "{A}", "code": "by hand"}}}}', "a has no fingerprints of 12 hex digits"),
        (f'{{"a": {{"results": 1, "code": "{A}"}}}}', "a has no fingerprints of 12 hex digits"),
        (b"\xff\xfe", "is not as `make lock-code` writes it"),
    ],
)
def test_a_lock_that_was_edited_or_merged_is_one_line(tmp_path, text, said):
    path = tmp_path / "code.lock"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=re.escape(said)) as refused:
        code_lock.read(path)
    assert str(refused.value).startswith("code.lock: ") and "\n" not in str(refused.value)


# What a recipe holds


@pytest.mark.parametrize(
    ("here", "lock", "held"),
    [
        (B, {"mixture": Locked(A, B)}, A),  # as it was locked: since then its results did not change
        (C, {"mixture": Locked(A, B)}, C),  # edited: a version of its own
        (A, {"mixture": Locked(A, B)}, A),  # as it was when its results last changed
        (C, {}, C),  # not locked yet
    ],
)
def test_a_recipe_holds_the_code_at_which_results_last_changed_unless_it_was_edited(monkeypatch, here, lock, held):
    monkeypatch.setattr(code_lock, "now", lambda unit: here)
    monkeypatch.setattr(code_lock, "read", lambda: lock)
    assert code_lock._version.__wrapped__("mixture") == held
    is_current = "mixture" in lock and lock["mixture"].code == here
    monkeypatch.setattr(code_lock, "units", lambda: {"mixture": ()})
    assert code_lock.unlocked() == ([] if is_current else ["mixture"])


def test_versions_of_packages_are_those_installed_without_the_name_of_their_build(monkeypatch):
    monkeypatch.setattr(code_lock.importlib.metadata, "version", lambda package: "2.13.0+cpu")
    monkeypatch.setattr(code_lock, "installed", code_lock.installed.__wrapped__)
    monkeypatch.setattr(code_lock, "version", lambda unit: A)
    assert code_lock.versions(["merge:ties"], ["torch"]) == {"merge:ties": A, "torch": "2.13.0"}


def test_a_package_that_is_not_installed_is_left_out():
    assert code_lock.versions([], ["no-such-package", "pyarrow"]).keys() == {"pyarrow"}


def test_the_definition_that_changed_is_found(tmp_path, monkeypatch):
    parts = {"data.mixture.draw": "1", "data.mixture.select": "2"}
    monkeypatch.setattr(code_lock, "version", lambda unit: A)
    monkeypatch.setattr(code_lock, "parts", lambda unit: parts)
    code_lock.remember(["mixture", "mixture"], tmp_path / "code")
    assert code_lock.differences("mixture", A, tmp_path / "code") == []
    parts = {"data.mixture.draw": "3", "data.mixture.chosen": "2"}
    changed = ["data.mixture.chosen", "data.mixture.draw", "data.mixture.select"]
    assert code_lock.differences("mixture", A, tmp_path / "code") == changed
    assert code_lock.differences("mixture", B, tmp_path / "code") == [], "nobody knows"
    (tmp_path / "code" / f"{B}.json").write_text("half")
    assert code_lock.differences("mixture", B, tmp_path / "code") == []


# What a unit is


def test_every_stage_is_a_unit_or_has_a_unit_for_each_row_of_its_registry():
    units = code_lock.units()
    for stage in STAGES.values():
        rows = (
            [f"{stage.command}:{row}" for row in Registry(stage.rows, "").built_in()] if stage.rows else [stage.command]
        )
        assert rows and set(rows) <= units.keys()


def test_every_unit_has_code_of_its_own():
    seen = {}
    for unit in code_lock.units():
        parts = code_lock.parts(unit)
        assert parts, unit
        assert seen.setdefault(code_lock.now(unit), unit) == unit


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package in which each module's text is what a function makes of it; units -> fingerprints there."""
    cache = {}

    def fingerprints(change=None, **more):
        key = (change, *more.items())
        if key not in cache:
            root = tmp_path_factory.mktemp("package") / fingerprint.PACKAGE
            shutil.copytree(fingerprint.ROOT, root, ignore=shutil.ignore_patterns("__pycache__", "*.yaml", "*.txt"))
            for path in sorted(root.rglob("*.py")) if change else ():
                path.write_text(change(path.relative_to(root), path.read_text()))
            for name, text in more.items():
                path = root / f"{name.replace('__', '/')}.py"
                assert not path.exists()
                path.write_text(text)
            cache[key] = {unit: code_lock.now.__wrapped__(unit, root) for unit in code_lock.units()}
        return cache[key]

    return fingerprints


def test_a_copy_has_the_same_fingerprints(copy):
    assert copy() == {unit: code_lock.now(unit) for unit in code_lock.units()}


ROWS = {
    "train/methods": "sft",
    "generate/engines": "transformers",
    "data/formats": "polyguard",
    "metrics": "harm",
    "metrics/measures": "win",
    "paper/tables": "cells",
    "paper/figures": "bars",
    "experiment/stages": "items",
}


def test_a_row_that_is_added_to_a_registry_changes_no_other_unit(copy):
    rows = {
        f"{place.replace('/', '__')}__novel": (fingerprint.ROOT / place / f"{row}.py").read_text()
        for place, row in ROWS.items()
    }
    assert {stage.rows for stage in STAGES.values() if stage.rows} <= {place.replace("/", ".") for place in ROWS}
    assert copy(**rows) == copy()


def reworded(path, text):
    """A module with other comments, layout and docstrings."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body[0] = ast.Expr(ast.Constant("In other words."))
    return f"# An afterthought.\n\n\n{ast.unparse(tree)}\n"


def test_comments_docstrings_and_layout_change_no_unit(copy):
    assert copy(reworded) == copy()


def optional_keys(path, text):
    """A new optional key in every section of the config that has one already."""
    if path.parent != Path("config"):
        return text
    pattern = r"^(class (\w+)\((?:\w*Section|LLM|Merging)\):\n    \"\"\"(?:.|\n)*?\"\"\"\n)"
    return re.sub(pattern, r"\1\n    novel: int = result(3, neutral=3)\n", text, flags=re.M)


def test_an_optional_key_changes_no_unit(copy):
    changed = optional_keys(Path("config/training.py"), (fingerprint.ROOT / "config/training.py").read_text())
    assert changed.count("novel") >= 2
    assert copy(optional_keys) == copy()


EDITS = {
    "train/methods/dpo.py": ("settings", "the_settings", "train:dpo"),
    "merge/with_mergekit.py": ("_WORKERS = 8", "_WORKERS = 9", "merge"),
    "data/formats/polyguard.py": ('"an id"', '"text"', "dataset:polyguard"),
    "paper/figures/sweep.py": ("0.", "1.", "figure:sweep"),
    "metrics/measures/win.py": ("50.0", "51.0", "measure:win"),
    "data/allocation.py": ("0", "1", "mixture"),
    "data/nllb.py": ("0", "1", "translator:nllb"),
}


def test_an_edit_of_a_row_or_of_what_work_reaches_changes_its_unit_alone(copy):
    def edit(path, text):
        old, new, _ = EDITS.get(path.as_posix(), ("", "", ""))
        assert old in text
        return text.replace(old, new) if old else text

    after = copy(edit)
    assert {unit for unit, now in after.items() if copy()[unit] != now} == {unit for *_, unit in EDITS.values()}


def test_a_lock_is_whole_json():
    assert json.loads(code_lock.LOCK.read_text()) == json.loads(code_lock.text(code_lock.read()))


@pytest.mark.parametrize(
    ("unit", "part"),
    [
        ("train:sft", "data.mixture.select"),
        ("generate:transformers", "generate.generate._row"),
        ("judge:harm", "judge.scores.described"),
        ("judge:harm", "base.text.detector"),
        ("judge:preference", "judge.questions.read"),
        ("table:cells", "paper.scores.read"),
        ("figure:bars", "paper.scores.item"),
        ("translate", "data.translators.LlmTranslator"),
    ],
)
def test_what_is_done_before_and_after_the_main_work_is_of_the_unit_as_well(unit, part):
    """What comes into the artifact counts: rows that are selected, columns that are added, scores that are read."""
    assert part in code_lock.parts(unit)


def test_a_lock_that_a_merge_left_with_a_unit_twice_is_refused(tmp_path):
    file = tmp_path / "code.lock"
    entry = '{"results": "0123456789ab", "code": "0123456789ab"}'
    file.write_text(f'{{"suite": {entry}, "suite": {entry}}}')
    with pytest.raises(UserError, match="code.lock"):
        code_lock.read(file)
