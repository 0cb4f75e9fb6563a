"""Every field says what it is for; what decides a result is what a section holds beyond neutral values."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, create_model

from workflow_scripts.config import merging
from workflow_scripts.config.data import PerLanguage, WorldSource
from workflow_scripts.config.experiment import Config  # imports every section
from workflow_scripts.config.fields import Declared, deciding, declared, executing, execution, result, structure
from workflow_scripts.config.judging import Judge
from workflow_scripts.config.machine import Machine
from workflow_scripts.config.merge_methods import BUILT_IN
from workflow_scripts.config.section import Section
from workflow_scripts.config.training import Training

SFT = {"method": "sft", "batch_size": 8, "learning_rate": 1e-3, "max_length": 64}


def sections(kind=Section):
    for section in kind.__subclasses__():
        if section.__module__.startswith("workflow_scripts."):
            yield section
            yield from sections(section)


TIES = merging.section(BUILT_IN["ties"])
MERGINGS = [merging.section(method) for method in BUILT_IN.values()]
FIELDS = [
    (section, name, field) for section in [*sections(), *MERGINGS] for name, field in section.model_fields.items()
]


@pytest.mark.parametrize(("section", "name", "field"), FIELDS, ids=[f"{s.__name__}.{n}" for s, n, _ in FIELDS])
def test_every_field_says_what_it_is_for_and_its_neutral_value_is_one_that_it_may_have(section, name, field):
    (mark,) = [mark for mark in field.metadata if isinstance(mark, Declared)]
    if mark.decides != "structure" and not field.is_required():
        accepted = TypeAdapter(field.rebuild_annotation()).validate_python(mark.neutral)
        assert TypeAdapter(field.rebuild_annotation()).validate_python(field.default) == field.default
        assert accepted == mark.neutral
    if mark.only:
        assert set(mark.only) <= {"sft", "dpo", "kto"}


def test_every_section_says_what_it_is_for():
    assert {Config, Training, merging.Merging, Judge, PerLanguage} <= set(sections())
    for section in sections():
        assert section.__doc__, section


def test_the_schema_says_what_each_key_decides():
    keys = Training.model_json_schema()["properties"]
    assert (keys["epochs"]["decides"], keys["threads"]["decides"]) == ("result", "execution")
    assert keys["batch_size"]["decides"] == "result" and keys["batch_size"]["minimum"] == 1


@pytest.mark.parametrize("kind", [result, execution])
def test_a_default_needs_a_neutral_value_and_a_required_field_has_none(kind):
    with pytest.raises(TypeError, match="needs a neutral value"):
        kind(1)
    with pytest.raises(TypeError, match="a required field has none"):
        kind(neutral=1)


def test_what_is_neutral_stands_in_no_recipe():
    assert deciding(Training.model_validate(SFT)) == SFT
    changed = Training.model_validate({**SFT, "epochs": 2, "betas": [0.9, 0.99], "lora": {"r": 4, "alpha": 8}})
    lora = {"r": 4, "alpha": 8}
    assert deciding(changed) == {**SFT, "epochs": 2, "betas": [0.9, 0.99], "lora": lora}


def test_fields_of_other_methods_are_left_out():
    both = Training.model_validate({**SFT, "beta": 0.2, "packing": True, "precompute_reference": True})
    counting = ["precompute_reference"]
    assert deciding(both, "sft", counting) == {**SFT, "packing": True}
    assert deciding(both, "dpo", counting) == {**SFT, "beta": 0.2, "precompute_reference": True}
    assert deciding(both) == {**SFT, "beta": 0.2, "packing": True}


def test_execution_counts_where_it_is_said_to_and_is_not_neutral():
    settings = Training.model_validate({**SFT, "threads": 2, "save_steps": 5})
    assert deciding(settings) == SFT
    assert deciding(settings, counting=["threads", "accumulation"]) == {**SFT, "threads": 2}


def test_keys_are_those_of_the_file():
    ties = {"method": "ties", "weights": 1.0, "density": [0.2, {"layers": [0.1], "embeddings": 1.0, "final_norm": 1.0}]}
    assert deciding(TIES.model_validate({**ties, "base": "base", "lambda": 0.5})) == {**ties, "lambda": 0.5}


def test_sections_within_sections_are_treated_alike():
    source = WorldSource.model_validate({"world": "safety", "seed": 1, "per_language": {"train": 5, "test": 0}})
    assert deciding(source) == {"world": "safety", "seed": 1, "per_language": {"train": 5}}


def test_what_is_executed_and_what_decides_have_nothing_in_common():
    judge = Judge.model_validate({"model": "openai/gpt-4o", "rpm": 10, "seed": 1, "models": ["base"], "batch": True})
    assert deciding(judge) == {"model": "openai/gpt-4o", "seed": 1}
    assert executing(judge, without=["poll", "timeout"]) == {
        "api_base": None, "concurrency": 16, "rpm": 10.0, "tpm": None, "retries": 5, "batch": True,
    }  # fmt: skip
    assert executing(Machine()) == Machine().model_dump() and deciding(Machine(gpus_per_node=8)) == {}


values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.text(), st.lists(st.integers()), st.dictionaries(st.text(), st.text())
)


@given(neutral=values, default=values, given=values)
def test_a_new_field_at_its_neutral_value_changes_no_recipe_whatever_its_default_is(neutral, default, given):
    before = Training.model_validate(SFT)
    after = create_model("After", __base__=Training, new=(object, result(default, neutral=neutral)))
    assert deciding(after.model_validate({**SFT, "new": neutral})) == deciding(before)
    assert ("new" in deciding(after.model_validate({**SFT, "new": given}))) == (given != neutral)
    by_default = deciding(after.model_validate(SFT))
    assert by_default == (deciding(before) if default == neutral else {**deciding(before), "new": default})
    json.dumps(by_default)


@given(neutral=values, given=values, counts=st.booleans())
def test_fields_that_decide_no_result_stand_in_no_recipe_unless_they_count(neutral, given, counts):
    fields = {"how": (object, execution(None, neutral=neutral)), "which": (object, structure(None))}
    section = create_model("New", __base__=Section, **fields).model_validate({"how": given, "which": given})
    expected = {"how": given} if counts and given != neutral else {}
    assert deciding(section, counting=["how", "which"] if counts else []) == expected
    assert executing(section) == {"how": given} and executing(section, ["how"]) == {}


def test_what_a_field_is_for_is_known_of_inherited_fields_too():
    assert declared(Judge.model_fields["temperature"]).decides == "result"
    assert declared(Judge.model_fields["max_tokens"]).neutral == 256
