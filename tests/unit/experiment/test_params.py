"""A recipe in three short texts: different where the recipes are, and short enough to be read as a reason."""

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from snakemake.persistence import ParamsChange

from tests.unit.experiment.everything import BEFORE
from workflow_scripts.base.job import Recipe
from workflow_scripts.experiment import params

NAMES = st.text(st.characters(categories=("Ll", "Nd"), include_characters="_:-"), min_size=1, max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=300)
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(NAMES, inner, max_size=5))
PARTS = st.dictionaries(NAMES, VALUES, max_size=12)
LIMITS = st.integers(20, 300)


@given(PARTS, LIMITS)
def test_a_text_is_never_longer_than_its_limit_and_always_one_printable_line(values, limit):
    text = params.brief(values, limit)
    assert len(text) <= limit and text.isprintable()


@given(PARTS, PARTS, LIMITS)
def test_different_values_give_different_texts(one, other, limit):
    assume(one != other)
    assert params.brief(one, limit) != params.brief(other, limit)


@given(PARTS.filter(bool), st.data(), LIMITS)
def test_one_value_that_differs_gives_another_text(values, data, limit):
    name = data.draw(st.sampled_from(sorted(values)))
    value = data.draw(VALUES)
    assume(value != values[name])
    assert params.brief(values, limit) != params.brief({**values, name: value}, limit)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": None}, {"a": "null"}),
        ({"a": 1}, {"a": "1"}),
        ({"a": True}, {"a": "true"}),
        ({"a": True}, {"a": 1}),
        ({"a": [1]}, {"a": "[1]"}),
        ({"a": "1, b=2"}, {"a": 1, "b": 2}),
        ({"a": "x, b=y"}, {"a": "x", "b": "y"}),
        ({"a": "x\ny"}, {"a": '"x\\ny"'}),
        ({"a": "#37a6259c"}, {"a": {}}),
        ({"a": "1.0"}, {"a": 1.0}),
        ({"a": "-1"}, {"a": -1}),
        ({"a": ""}, {}),
    ],
)
def test_values_that_look_alike_give_different_texts(one, other):
    assert params.brief(one, 100) != params.brief(other, 100)


@given(PARTS, LIMITS, st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_matter(values, limit, random):
    def shuffled(value):
        if isinstance(value, dict):
            keys = list(value)
            random.shuffle(keys)
            return {key: shuffled(value[key]) for key in keys}
        return [shuffled(item) for item in value] if isinstance(value, list) else value

    assert params.brief(values, limit) == params.brief(shuffled(values), limit)


@given(PARTS.filter(lambda part: len(part) > 1))
def test_the_order_of_a_list_does(values):
    items = list(values)
    assert params.brief({"a": items}, 100) != params.brief({"a": items[::-1]}, 100)


def test_short_values_are_shown_and_the_longest_give_way_first():
    values = {"seed": 3, "t": 0.5, "prompt": "Is this answer harmful? Say yes or no."}
    assert params.brief(values, 100) == 'prompt="Is this answer harmful? Say yes or no.", seed=3, t=0.5'
    assert re.fullmatch(r"prompt=#[0-9a-f]{8}, seed=3, t=0\.5", params.brief(values, 40))


def test_each_text_begins_with_its_name():
    """Snakemake compares the set of a job's params: a value that moves from one to another must not go unseen."""
    one = params.of(Recipe("x", {"a": 1}, {"b": 2}, {"c": "3a"}))
    other = params.of(Recipe("x", {"b": 2}, {"a": 1}, {"c": "3a"}))
    assert one == {"settings": "settings: a=1", "inputs": "inputs: b=2", "code": "code: c=3a"}
    assert not set(one.values()) & {other["settings"], other["inputs"]}


@given(st.tuples(PARTS, PARTS, PARTS), st.tuples(PARTS, PARTS, PARTS))
def test_a_reason_with_all_three_is_shorter_than_1000_characters(one, other):
    before, after = (set(params.of(Recipe("x", *parts)).values()) for parts in (one, other))
    assert len(reason(before - after, after - before)) < 1000


def test_the_longest_reason_is_shorter_than_1000_characters():
    names = [f"{name}{n}" for n in range(90) for name in "ab"]
    parts = [{name: value for name in names} for value in ("before", "after")]
    before, after = (set(params.of(Recipe("x", part, part, part)).values()) for part in parts)
    assert 900 < len(reason(before, after)) < 1000


def reason(before, after):
    """As Snakemake prints it, which records params as Python writes them."""
    change = ParamsChange(*({repr(text) for text in texts} for texts in (before, after)), {"file"})
    return f"reason: Params have changed since last execution: {change}"


def test_the_params_of_an_experiment_can_be_read():
    """What a person changes is seen as it is, in all that a training or a merge is made by."""
    assert BEFORE["model slerp 0"].params["settings"] == "settings: method=slerp, t=0.5"
    trained = BEFORE["model mix 0"].params
    assert "learning_rate=0.001" in trained["settings"] and "parent=base" in trained["inputs"]
    assert "trl=" in trained["code"] and "train:sft=" in trained["code"]
    for artifact in BEFORE.values():
        for name, text in artifact.params.items():
            assert len(text) <= params.LIMITS[name] + len(f"{name}: ")
