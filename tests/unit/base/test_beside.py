"""What users keep beside their config is found by name, and what is wrong with it is said in a line."""

import os
from pathlib import Path

import pytest

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.registry import Registry
from workflow_scripts.data.formats import FORMATS

OURS = "from workflow_scripts.data.formats._base import Format, Part\n"
FORMAT = OURS + (
    'FORMAT = Format("{}", {{"en": (Part(None, "train"),)}}, {{"id": "an id"}}, lambda raw, language: "empty")\n'
)


@pytest.fixture
def formats(tmp_path, monkeypatch):
    """A folder of formats beside a config that is in use."""
    beside.use([tmp_path / "config.yaml"])
    (tmp_path / "formats").mkdir()
    return tmp_path / "formats"


def test_a_row_beside_the_config_is_found_like_one_of_ours(formats):
    (formats / "mine.py").write_text(FORMAT.format("MIT"))
    (formats / "_helper.py").write_text(FORMAT.format("MIT"))
    assert FORMATS["mine"].licence == "MIT"
    assert "mine" in FORMATS and "mine" in list(FORMATS) and len(FORMATS) == len(FORMATS.built_in()) + 1
    assert "_helper" not in FORMATS and FORMATS.own("aya_redteaming") is None
    assert "mine" not in Registry("data", "draw")  # a registry that users do not add to


def test_folders_of_several_configs_are_looked_at_in_their_order(tmp_path, monkeypatch):
    for name in ("one: a", "two"):
        (tmp_path / name / "formats").mkdir(parents=True)
        (tmp_path / name / "formats/both.py").write_text(FORMAT.format(name))
    (tmp_path / "one: a/formats/alone.py").write_text(FORMAT.format("alone"))
    beside.use([tmp_path / "two/a.yaml", tmp_path / "one: a/b.yaml", tmp_path / "one: a/c.yaml"])
    assert FORMATS["both"].licence == "two" and FORMATS["alone"].licence == "alone"
    beside.use([tmp_path / "one: a/b.yaml"])
    assert FORMATS["both"].licence == "one: a", "what another experiment of this process has is not looked at"


def test_folders_are_where_the_configs_paths_say_and_without_a_config_the_working_directory(formats, monkeypatch):
    (formats / "mine.py").write_text(FORMAT.format("MIT"))
    elsewhere = formats.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "config.yaml").write_text("")
    (formats.parent / "config.yaml").symlink_to(elsewhere / "config.yaml")
    monkeypatch.chdir(formats.parent)
    for configs in ([Path("config.yaml")], [Path("elsewhere/../config.yaml")], []):
        beside.use(configs)
        monkeypatch.chdir("/")
        assert "mine" in FORMATS
        monkeypatch.chdir(formats.parent)
    beside.use([Path("elsewhere/config.yaml")])
    assert "mine" not in FORMATS


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FORMAT = (\n", r"mine\.py, line 1: SyntaxError: '\(' was never closed$"),
        ("x = 1\n\n\nFORMAT = missing\n", r"mine\.py, line 4: NameError: name 'missing'"),
        ("import no_such_package\n", r"mine\.py, line 1: ModuleNotFoundError"),
        ("import json\n\njson.loads('{')\n", r"mine\.py, line 3: JSONDecodeError"),
        ("import sys\nsys.exit('no')\n", r"mine\.py, line 2: SystemExit: no$"),
        ("raise ValueError('one\\ntwo')\n", r"mine\.py, line 1: ValueError: one two$"),
        ("FORM = 1\n", r"mine\.py: defines no `FORMAT = Format\(\.\.\.\)`; see those of workflow_scripts/data"),
        ("FORMAT = 1\n", r"mine\.py: defines no `FORMAT = Format\(\.\.\.\)`"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(formats, text, said):
    (formats / "mine.py").write_text(text)
    with pytest.raises(UserError, match=said) as raised:
        FORMATS["mine"]
    assert "\n" not in str(raised.value)


PART = '{"en": (Part(None, "train"),)}'
COLUMNS = '{"id": "an id"}'
ROW = "lambda raw, language: raw"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (f"None, {PART}, {COLUMNS}, {ROW}", "licence is no text"),
        (f'"MIT", {{}}, {COLUMNS}, {ROW}', "languages is no table"),
        (f'"MIT", {{"en": Part(None, "train")}}, {COLUMNS}, {ROW}', "'en' has no tuple of Parts"),
        (f'"MIT", {{"en": ["train"]}}, {COLUMNS}, {ROW}', "'en' has no tuple of Parts"),
        (
            f'"MIT", {{"en": (Part(None, "a", place="dev"),)}}, {COLUMNS}, {ROW}',
            "'en' has place='dev'; choose from: train",
        ),
        (f'"MIT", {PART}, ["id"], {ROW}', "columns is no table"),
        (f'"MIT", {PART}, {{"id": "int"}}, {ROW}', "'id' holds 'int'; choose from: text, an id, a number"),
        (f'"MIT", {PART}, {COLUMNS}, "id"', "row is no function"),
    ],
)
def test_a_format_whose_fields_hold_something_else_is_refused_with_its_line(formats, arguments, said):
    (formats / "mine.py").write_text(f"{OURS}\nFORMAT = Format({arguments})\n")
    with pytest.raises(UserError, match=r"mine\.py, line 3: ValueError: ") as raised:
        FORMATS["mine"]
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_an_edited_file_is_read_again_and_leaves_nothing_beside_it(formats):
    for licence in ("MIT", "BSD"):  # as long, and within a second: Python's own cache would give the first twice
        (formats / "mine.py").write_text(FORMAT.format(licence))
        assert FORMATS["mine"].licence == licence
    assert [path.name for path in formats.iterdir()] == ["mine.py"]


def test_a_file_with_dataclasses_and_type_hints_works(formats):
    text = "from __future__ import annotations\nfrom dataclasses import dataclass\n"
    text += "@dataclass\nclass Kind:\n    name: str\n"
    (formats / "mine.py").write_text(text + FORMAT.format("MIT"))
    assert FORMATS["mine"].licence == "MIT"


def test_a_file_by_the_name_of_one_of_ours_is_refused(formats):
    (formats / "polyguard.py").write_text(FORMAT.format("MIT"))
    with pytest.raises(UserError, match=r"polyguard\.py: mixmerge has a polyguard of its own"):
        FORMATS["polyguard"]


@pytest.mark.parametrize("name", ["../config", "/etc/passwd", ".hidden", "_private", "a/b"])
def test_a_name_that_is_a_path_names_nothing(formats, name):
    assert beside.find("formats", name) is None


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_file_that_may_not_be_read_is_one_line(formats):
    (formats / "mine.py").write_text("")
    (formats / "mine.py").chmod(0)
    with pytest.raises(UserError, match=r"mine\.py: cannot be read"):
        FORMATS["mine"]


def test_a_users_file_is_fingerprinted_without_comments_and_layout(formats):
    from workflow_scripts.experiment import code_lock

    file = formats / "mine.py"
    file.write_text("FORMAT = 1\n")
    before = code_lock.version("formats/mine.py")
    file.write_text('"""Mine."""\n\n# why\nFORMAT = (1)\n')
    assert code_lock.version("formats/mine.py") == before
    file.write_bytes(b"\xef\xbb\xbfFORMAT = 1\n")  # as some editors save
    assert code_lock.version("formats/mine.py") == before
    file.write_text("FORMAT = 2\n")
    assert code_lock.version("formats/mine.py") != before
