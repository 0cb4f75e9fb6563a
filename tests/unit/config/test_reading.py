"""A file is read as YAML reads it, or what is wrong with it is said with its line."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.reading import read


def refused(path):
    with pytest.raises(UserError) as found:
        read(path)
    return str(found.value).replace(str(path), "FILE").splitlines()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"\n\na: caf\xe9", "FILE: line 3 is not UTF-8 (byte 0xe9); save it as UTF-8"),
        (b"a: 1\nb: [1\nc: 2", "FILE: line 3, column 2: not YAML (while parsing a flow sequence expected ',' or ']'"),
        (b"a:\n\t- b", "FILE: line 2, column 1: not YAML (while scanning for the next token found character '\\t'"),
        (b"a: *b", "FILE: line 1, column 4: not YAML (found undefined alias 'b'); fix the line"),
        (b"a: !!python/name:os.system 1", "FILE: line 1, column 4: not YAML (could not determine a constructor"),
        (b"a: 1\n---\na: 2", "FILE: line 2, column 1: not YAML (expected a single document"),
        (b"{[1]: 2}", "FILE: line 1, column 2: not YAML (while constructing a mapping found unhashable key)"),
        (b"a: 2024-13-45", "FILE: not YAML (month must be in 1..12); fix it"),
        (b"a: \x07", "FILE: not YAML (unacceptable character #x0007"),
        (b"", "FILE: is not a table of keys; see config.yaml for an example"),
        (b"- a", "FILE: is not a table of keys"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_in_one_line(tmp_path, content, line):
    path = tmp_path / "my.yaml"
    path.write_bytes(content)
    (found,) = refused(path)
    assert found.startswith(line)


def test_a_file_that_is_not_there_or_no_file_is_said_to_be_so(tmp_path):
    assert refused(tmp_path / "my.yaml") == ["FILE: no such file; name the experiment's config"]
    assert refused(tmp_path) == ["FILE: cannot be read (Is a directory); name the experiment's config"]


def test_every_key_that_a_table_has_twice_is_named_with_both_lines(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("models:\n  sft: 1\n  dpo: {a: [{x: 1}, {x: 1, 'x': 2}]}\n  sft: 2\n'15': 1\n15: 2\nmodels: {}\n")
    assert refused(path) == [
        "FILE: key '15' in line 5 and again in line 6; rename or remove one",
        "FILE: key 'models' in line 1 and again in line 7; rename or remove one",
        "FILE: key 'sft' in line 2 and again in line 4; rename or remove one",
        "FILE: key 'x' in line 3 and again in line 3; rename or remove one",
    ]


def test_keys_from_an_anchor_may_be_overridden(tmp_path):
    path = tmp_path / "my.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, x: 3}\nc: *a\n")
    assert read(path) == {"a": {"x": 1, "y": 2}, "b": {"x": 3, "y": 2}, "c": {"x": 1, "y": 2}}


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=5)
scalars = st.none() | st.booleans() | st.integers() | texts
trees = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(texts, inner), max_leaves=10)


@given(st.dictionaries(texts, trees))
def test_whatever_is_written_is_read(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("any") / "my.yaml"
    path.write_text(yaml.safe_dump(value, allow_unicode=True), encoding="utf-8")
    assert read(path) == value


def test_a_json_config_has_no_key_twice_and_may_be_indented_by_tabs(tmp_path):
    twice, tabs = tmp_path / "twice.json", tmp_path / "tabs.json"
    twice.write_text('{"baseline": "a", "models": {"x": 1, "x": 2}, "baseline": "b"}')
    with pytest.raises(UserError) as refused:
        read(twice)
    assert [line.partition(": ")[2].split(" stands")[0] for line in str(refused.value).splitlines()] == [
        "key 'x'",
        "key 'baseline'",
    ]
    tabs.write_text('{\n\t"experiment": "x"\n}')
    assert read(tabs) == {"experiment": "x"}


def test_a_table_that_contains_itself_is_one_line(tmp_path):
    file = tmp_path / "self.yaml"
    file.write_text("experiment: x\nextra: &a [*a]\n")
    with pytest.raises(UserError, match=r"self.yaml: .*(ircular|contains itself)") as refused:
        read(file)
    assert "\n" not in str(refused.value)
