# ruff: noqa: E501
"""Rows of the table are expanded as they say, and a row that cannot be is named."""

import pytest

from tests.unit.experiment.checked import changed, check, row
from workflow_scripts.experiment.table_of_models import load

# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "no kind": ({"models/new": {"parent": "base"}}, ["models.new: needs exactly one of load, init, train, merge; has none"]),
    "two kinds": ({"models/new": row(merge="slerp")}, ["models.new: needs exactly one of load, init, train, merge; has train, merge"]),
    "a model that is no table": ({"models/new": "sft"}, ["models.new: input should be"]),
    "a placeholder without a grid": ({"models/new-{x}": row()}, ["models.new-{x}: '{x}' is not in its `for`; add it there"]),
    "an odd placeholder": ({"models/new": row(mixture="{0.a!r}")}, ["models.new: '{0.a!r}' is not in its `for`"]),
    "a brace": ({"models/new{": row()}, ["models.new{: makes 'new{'; names are"]),
    "a grid of nothing": ({"models/new-{x}": row(**{"for": {"x": []}})}, ["models.new-{x}.for.x: list should have at least 1"]),
    "a grid that is none": ({"models/new-{x}": row(**{"for": 3})}, ["models.new-{x}.for: "]),
    "a grid point of another type": ({"models/new-{x}": row(per_language="{x}", **{"for": {"x": ["many"]}})}, ["models.new-many.per_language: input should be a valid integer"]),
    "names made twice": ({"models/new-{x}": row(**{"for": {"x": [1, 1]}})}, ["models.new-{x}: makes 'new-1' again"]),
    "names made by two rows": ({"models/m{x}": row(**{"for": {"x": ["ix"]}})}, ["models.m{x}: makes 'mix' again"]),
    "a name that is a path": ({"models/m{x}": row(**{"for": {"x": ["/../a"]}})}, ["models.m{x}: makes 'm/../a'; names"]),
    "a boolean in a name": ({"models/mono-{l}": row(languages=["{l}"], **{"for": {"l": ["en", False]}})}, ["models.mono-{l}.for: false of 'l' stands in text; YAML reads no and off so: put it in quotes"]),
    "a boolean that is a name": ({"models/{l}": row(**{"for": [{"l": True}]})}, ["models.{l}.for: true of 'l' stands in text; YAML reads yes and on so"]),
    "a boolean for a language": ({"models/new": row(languages=["{l}"], **{"for": {"l": [False]}})}, ["models.new.languages.0: input should be a valid string, not false; YAML reads no"]),
    "a boolean that is meant": ({"models/new-{n}": row(**{"with": {"packing": "{p}"}, "for": [{"n": 1, "p": True}]})}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])


def test_grids_give_all_combinations_and_keep_types():
    grid = {"x": ["a", "b"], "n": [1, 2]}
    models = load(
        changed({"models/new-{x}-{n}": row(per_language="{n}", **{"with": {"epochs": "{n}"}, "for": grid})})
    ).models
    names = [name for name in models if name.startswith("new-")]
    assert names == ["new-a-1", "new-a-2", "new-b-1", "new-b-2"]
    assert models["new-b-2"].row.per_language == 2 and models["new-b-2"].settings.epochs == 2.0


def test_a_list_of_rows_gives_those_and_no_others():
    models = load(changed({"models/new-{x}": row(parts=["{p}"], **{"for": [{"x": 1, "p": "safety"}]})})).models
    assert models["new-1"].row.parts == ["safety"]


def test_patterns_are_all_other_models_that_match_in_the_order_of_the_table():
    edits = {
        "models/mono-{l}": row(languages=["{l}"], **{"for": {"l": ["fr", "en"]}}),
        "models/mono-all": {"merge": "ties", "parents": ["mono-*"]},
        "models/mono-two": {"merge": "ties", "parents": ["mono-??"]},
    }
    models = load(changed(edits)).models
    assert models["mono-two"].parents == ("mono-fr", "mono-en")
    assert models["mono-all"].parents == ("mono-fr", "mono-en", "mono-two")


def test_overrides_change_one_model_and_not_the_named_settings():
    found = load(changed({"models/mix/with": {"epochs": 2, "lora": {"r": 4, "alpha": 8}}}))
    assert found.models["mix"].settings.epochs == 2 and found.models["mix"].settings.lora.r == 4
    assert found.models["general"].settings.epochs == 1 and found.config.training["sft"].lora is None
