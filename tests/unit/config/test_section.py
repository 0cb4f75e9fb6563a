"""Names are safe, values stay as they were read, and every section is described."""

import pytest
from pydantic import TypeAdapter, ValidationError

from workflow_scripts.config import experiment  # imports every section
from workflow_scripts.config.data import Suite
from workflow_scripts.config.section import Name, Section


def sections(kind=Section):
    for section in kind.__subclasses__():
        yield section
        yield from sections(section)


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


def test_every_section_says_what_it_is_for():
    assert experiment.Config in sections()
    for section in sections():
        assert section.__doc__, section
