"""Names are safe, and values stay as they were read."""

import pytest
from pydantic import TypeAdapter, ValidationError

from workflow_scripts.config.data import Suite
from workflow_scripts.config.section import Name


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
