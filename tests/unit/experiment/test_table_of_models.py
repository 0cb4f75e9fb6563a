# ruff: noqa: E501
"""Any file at all is an experiment, or every mistake in it is said in one line."""

import copy

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.experiment.checked import CHECKED, REMOVED, ROOT, changed, check, row
from workflow_scripts.base import beside
from workflow_scripts.config.models import Train
from workflow_scripts.experiment.config_errors import ConfigError
from workflow_scripts.experiment.table_of_models import Experiment, load

# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "no suites": ({"suites": {}}, ["suites: is empty; add one", "tables.table1.metrics: ", "tables.table1.metrics: ", "tables.contrasts.metrics: ", "tables.contrasts.metrics: ", "figures.figure2.metrics: ", "figures.figure2.metrics: "]),
    "no judges": ({"judges": {}}, ["judges: is empty; add one"]),
    "no models": ({"models": {}}, None),
    "an untrue contrast": (
        {"contrasts/slerp/matched": "rows"},
        ["contrasts.slerp.matched: not matched on rows (mix has 128 rows and 128 examples, slerp has 256 and 256)"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])


def test_contrasts_are_matched_by_what_both_sides_learned_after_the_baseline():
    edits = {
        "models/mono-{l}": row(languages=["{l}"], **{"for": {"l": ["fr", "en"]}}),
        "models/mono": {"merge": "ties", "parents": ["mono-*"]},
        "models/twice": row(**{"with": {"epochs": 2}}),
        "contrasts/mono": {"mix": "mix", "merge": "mono", "matched": "rows"},
        "contrasts/compute": {"mix": "twice", "merge": "slerp", "matched": "examples"},
    }
    experiment = load(changed(edits))
    assert experiment.learned("mono").rows == experiment.learned("mix").rows == 128
    assert experiment.learned("twice").examples == experiment.learned("slerp").examples == 256
    assert experiment.learned("base").rows == 0


def test_only_merges_that_are_nobodys_parent_may_be_temporary():
    edits = {"keep_merges": False, "models/after": row(parent="slerp"), "models/last": {"merge": "slerp", "parents": ["mix", "after"]}}  # fmt: skip
    experiment = load(changed(edits))
    assert [name for name in experiment.models if experiment.temporary(name)] == ["last"]
    assert not any(map(load(CHECKED).temporary, experiment.models.keys() & load(CHECKED).models.keys()))


def _places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for key, item in items:
        yield from _places(item, (*path, key))


PLACES = [path for path in _places(CHECKED) if path]


JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 200), st.floats(), st.text(max_size=5),
    st.sampled_from(["{x}", "{", "}", "{}", "{0}", "*", "mix", "base", "slerp", "ties", "general", "\n", "a/b", "en"]),
    st.sampled_from([[], {}, [1], ["en"], ["*"], {"x": 1}, {"": ""}, [[]], {"for": {"x": [1]}}, {"x": {"y": "z"}}]),
)  # fmt: skip

KEYS = st.text(max_size=4) | st.sampled_from(["for", "with", "load", "file", "[key]", False, None, 15, 0.5])


def _check_outcome(raw):
    try:
        assert isinstance(load(raw), Experiment)
    except ConfigError as refused:
        assert refused.lines
        for line in refused.lines:
            key, _, what = line.partition(": ")
            assert key and what and line == line.strip() and "\n" not in line


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.one_of(st.just(REMOVED), JUNK)), min_size=1, max_size=4))
def test_any_edit_gives_an_experiment_or_readable_lines(edits):
    raw = copy.deepcopy(CHECKED)
    for path, value in edits:
        section = raw
        try:
            for key in path[:-1]:
                section = section[key]
            if value is REMOVED:
                del section[path[-1]]
            else:
                section[path[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier edit took the place away
    _check_outcome(raw)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(PLACES), KEYS, JUNK)
def test_any_added_key_gives_an_experiment_or_readable_lines(path, key, value):
    raw = copy.deepcopy(CHECKED)
    section = raw
    for part in path:
        section = section[part]
    if isinstance(section, dict):
        section[key] = copy.deepcopy(value)
    _check_outcome(raw)


@pytest.mark.parametrize("raw", [None, [], "text", 3, {}])
def test_a_file_that_is_no_experiment_is_told_so(raw):
    with pytest.raises(ConfigError):
        load(raw)


def test_the_experiments_of_the_repository_are_right():
    for path in (ROOT / "config.yaml", ROOT / "tests/configs/nano.yaml"):
        beside.use([path])
        found = load(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert any(isinstance(model.row, Train) for model in found.models.values())
