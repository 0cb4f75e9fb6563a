"""What users keep beside their config is found by name, and what is wrong with it is said in a line."""

import os

import pytest

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.registry import Registry
from workflow_scripts.data.formats import FORMATS


@pytest.fixture
def formats(tmp_path, monkeypatch):
    """A folder of formats beside a config that is in use."""
    beside.use([tmp_path / "config.yaml"])
    (tmp_path / "formats").mkdir()
    return tmp_path / "formats"


def test_a_row_beside_the_config_is_found_like_one_of_ours(formats):
    (formats / "mine.py").write_text("FORMAT = 'mine'\n")
    (formats / "_helper.py").write_text("FORMAT = 'none'\n")
    assert FORMATS["mine"] == "mine"
    assert "mine" in FORMATS and "mine" in list(FORMATS) and len(FORMATS) == len(FORMATS.built_in()) + 1
    assert "_helper" not in FORMATS and FORMATS.own("aya_redteaming") is None
    assert "mine" not in Registry("data", "draw")  # a registry that users do not add to


def test_folders_of_several_configs_are_looked_at_in_their_order(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name / "formats").mkdir(parents=True)
        (tmp_path / name / "formats/both.py").write_text(f"FORMAT = '{name}'\n")
    beside.use([tmp_path / "two/a.yaml", tmp_path / "one/b.yaml", tmp_path / "one/c.yaml"])
    assert os.environ[beside.FOLDERS].split(os.pathsep) == [str(tmp_path / "two"), str(tmp_path / "one")]
    assert FORMATS["both"] == "two"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FORMAT = (\n", r"mine\.py, line 1: SyntaxError"),
        ("x = 1\n\n\nFORMAT = missing\n", r"mine\.py, line 4: NameError: name 'missing'"),
        ("import no_such_package\n", r"mine\.py, line 1: ModuleNotFoundError"),
        ("FORM = 1\n", r"mine\.py: defines no FORMAT"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_its_line(formats, text, said):
    (formats / "mine.py").write_text(text)
    with pytest.raises(UserError, match=said) as raised:
        FORMATS["mine"]
    assert "\n" not in str(raised.value)


def test_a_file_by_the_name_of_one_of_ours_is_refused(formats):
    (formats / "polyguard.py").write_text("FORMAT = 1\n")
    with pytest.raises(UserError, match=r"polyguard\.py: mixmerge has a polyguard of its own"):
        FORMATS["polyguard"]


@pytest.mark.parametrize("name", ["../config", "/etc/passwd", ".hidden", "_private", "a/b"])
def test_a_name_that_is_a_path_names_nothing(formats, name):
    assert beside.find("formats", name) is None


def test_a_users_file_is_fingerprinted_without_comments_and_layout(formats):
    from workflow_scripts.experiment import code_lock

    file = formats / "mine.py"
    file.write_text("FORMAT = 1\n")
    before = code_lock.version("formats/mine.py")
    file.write_text('"""Mine."""\n\n# why\nFORMAT = (1)\n')
    assert code_lock.version("formats/mine.py") == before
    file.write_text("FORMAT = 2\n")
    assert code_lock.version("formats/mine.py") != before
