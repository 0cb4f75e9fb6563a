"""Draws are nested, seeded and fair: a row's place depends on the seed and the row, never on what else is drawn."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.data import mixture
from workflow_scripts.miniature import world

LANGUAGES = ["en", "fr"]
SOURCES = {
    kind: world.rows(kind, LANGUAGES, {"train": 60, "validation": 5}, seed, kind)
    for kind, seed in (("general", 1), ("safety", 2))
}


def draw(per_language=20, parts=(("general", 0.75), ("safety", 0.25)), languages=LANGUAGES, seed=0, sources=SOURCES):
    work = {"per_language": per_language, "parts": parts, "languages": languages, "seed": seed}
    return mixture.draw(work, sources)


def ids(table, **where):
    return [
        (row["part"], row["id"]) for row in table.to_pylist() if all(row[key] == value for key, value in where.items())
    ]


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 3))
def test_a_smaller_draw_is_part_of_a_larger_one_in_the_same_order(one, other, seed):
    fewer, more = ids(draw(min(one, other), seed=seed)), ids(draw(max(one, other), seed=seed))
    assert [row for row in more if row in set(fewer)] == fewer


def test_a_languages_rows_do_not_depend_on_the_other_languages():
    both, alone = draw(), draw(languages=["fr"])
    assert ids(both, language="fr") == ids(alone)
    assert draw(languages=["fr", "en"]).equals(both), "nor on their order"


def test_a_parts_rows_do_not_depend_on_the_other_parts():
    alone = draw(15, parts=[("general", 1.0)])
    assert ids(draw(20), part="general") == ids(alone)


def test_the_order_is_that_of_the_seed_and_not_that_of_the_source():
    same, other = ids(draw(60, parts=[("general", 1.0)])), ids(draw(60, parts=[("general", 1.0)], seed=1))
    assert same != other and sorted(same) == sorted(other)
    turned = {name: table.take(list(reversed(range(len(table))))) for name, table in SOURCES.items()}
    assert ids(draw(60, parts=[("general", 1.0)], sources=turned)) == same


def test_parts_and_languages_are_mingled_and_only_train_rows_are_drawn():
    table = draw(40)
    assert table.schema == records.MIXTURE and set(table["split"].to_pylist()) == {"train"}
    half = table.slice(0, 40)
    assert set(half["part"].to_pylist()) == {"general", "safety"}
    assert set(half["language"].to_pylist()) == {"en", "fr"}


def test_a_source_with_too_few_rows_is_named_with_what_is_asked_of_it():
    with pytest.raises(UserError, match="needs 61 train rows in en from source 'general', which has 60"):
        draw(61, parts=[("general", 1.0)])


def test_a_training_sees_some_languages_some_parts_or_the_first_rows():
    table = draw(20)
    assert mixture.select(table, None, None, None).equals(table)
    assert ids(mixture.select(table, ["fr"], None, None)) == ids(table, language="fr")
    assert ids(mixture.select(table, None, ["safety"], None)) == ids(table, part="safety")
    assert mixture.select(table, None, None, {"general": 6, "safety": 2}).equals(draw(8))
    assert len(mixture.select(table, ["en"], ["safety"], {"general": 6, "safety": 2})) == 2
