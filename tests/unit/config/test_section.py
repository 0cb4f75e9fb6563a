"""Names are safe, values stay as they were read, and yes is no number."""

from types import UnionType
from typing import Annotated, Literal, Union, get_args, get_origin

import pytest
from pydantic import TypeAdapter, ValidationError

from workflow_scripts.config.data import Suite
from workflow_scripts.config.experiment import Config  # imports every section
from workflow_scripts.config.merge_methods import BUILT_IN
from workflow_scripts.config.merging import section as merging
from workflow_scripts.config.section import Name, Section


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", "-a", ".a", "ä", "a{b}", "a*"])
def test_names_are_safe_in_paths_patterns_and_shells(name):
    with pytest.raises(ValidationError):
        TypeAdapter(Name).validate_python(name)


@pytest.mark.parametrize("name", ["sft-mix15", "dare_ties", "a.b+c", "15"])
def test_usual_names_are_accepted(name):
    assert TypeAdapter(Name).validate_python(name) == name


def test_sections_do_not_change_after_they_are_read():
    suite = Suite.model_validate({"source": "redteam", "metric": "harm"})
    with pytest.raises(ValidationError, match="frozen"):
        suite.metric = "preference"


# Numbers


def sections(kind=Section):
    for section in kind.__subclasses__():
        if section.__module__.startswith("workflow_scripts."):
            yield section
            yield from sections(section)


def at_numbers(annotation, value):
    """What stands in a config where a field of this type has a value in place of its numbers."""
    if annotation in (int, float):
        yield value
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Annotated or kind in (Union, UnionType):
        for part in parts[:1] if kind is Annotated else parts:
            yield from at_numbers(part, value)
    elif kind is list:
        yield from ([inner] for inner in at_numbers(parts[0], value))
    elif kind is tuple:
        yield from (list(inner) for inner in zip(*(at_numbers(part, value) for part in parts), strict=True))
    elif kind is dict:
        yield from ({key: inner} for key in keys(parts[0]) for inner in at_numbers(parts[1], value))


def keys(annotation):
    return get_args(annotation)[:1] if get_origin(annotation) is Literal else ["en"]


FIELDS = [
    pytest.param(section, field.alias or name, field.annotation, id=f"{section.__name__}.{name}")
    for section in dict.fromkeys([*sections(), *map(merging, BUILT_IN.values())])
    for name, field in section.model_fields.items()
    if list(at_numbers(field.annotation, 0))
]


def said(section, name, value):
    """What is said of a field's value; of what else the section needs nothing counts."""
    try:
        section.model_validate({name: value})
    except ValidationError as refused:
        return [error["msg"] for error in refused.errors() if error["loc"][0] == name]
    return []


def test_there_are_numbers_of_every_shape():
    assert Config in sections()
    names = {param.id for param in FIELDS}
    assert {"Training.epochs", "Training.betas", "Training.scheduler_options", "Config.seeds"} <= names
    assert {
        "Mixture.parts",
        "DatasetSource.splits",
        "Merging by ties.lambda",
        "Merging by ties.weights",
        "Gradient.layers",
    } <= names
    assert len(FIELDS) > 80


@pytest.mark.parametrize("value", [True, False])
@pytest.mark.parametrize(("section", "name", "annotation"), FIELDS)
def test_yes_and_no_are_no_numbers(section, name, annotation, value):
    for given in at_numbers(annotation, value):
        assert any("should be a number" in message for message in said(section, name, given)), given


@pytest.mark.parametrize("value", [1, 1.0, "1", 10_000_000, -1])
@pytest.mark.parametrize(("section", "name", "annotation"), FIELDS)
def test_numbers_are_numbers_and_those_of_a_command_line_too(section, name, annotation, value):
    for given in at_numbers(annotation, value):
        assert not any("number" in message for message in said(section, name, given)), given


def test_a_section_that_is_part_of_many_types_is_treated_once():
    for _ in range(3):
        adapter = TypeAdapter(dict[str, Suite])
    assert str(adapter.core_schema).count("_no_bool") == 1, "its one number"
    with pytest.raises(ValidationError, match="should be a number"):
        adapter.validate_python({"a": {"source": "x", "metric": "harm", "per_language": True}})
