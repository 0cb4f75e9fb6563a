"""What two sides of a contrast had the same of, by arithmetic that agrees with the rows that are really drawn."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.config.data import Mixture
from workflow_scripts.config.models import Train
from workflow_scripts.config.training import Training
from workflow_scripts.data import allocation, mixture
from workflow_scripts.experiment import training_data
from workflow_scripts.experiment.training_data import Learned
from workflow_scripts.miniature import world

LANGUAGES = ["en", "hi", "fr"]


fractions = (
    st.lists(st.integers(0, 20), min_size=1, max_size=6)
    .filter(any)
    .map(lambda weights: {f"part{i}": weight / sum(weights) for i, weight in enumerate(weights)})
)
draws = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.integers(0, 1), st.sampled_from(["en", "fr"])), st.integers(1, 9), max_size=6
)
learned = st.builds(Learned, draws, st.integers(0, 50), st.integers(0, 50), st.just(0), st.just(True))


@given(st.lists(learned, max_size=4), st.randoms())
def test_what_models_learned_together_does_not_depend_on_their_order(parts, random):
    shuffled = random.sample(parts, len(parts))
    assert training_data.together(parts) == training_data.together(shuffled)


@given(learned)
def test_the_same_rows_twice_are_the_same_rows_seen_twice(one):
    twice = training_data.together([one, one])
    assert (twice.draws, twice.examples, twice.steps) == (one.draws, 2 * one.examples, 2 * one.steps)


@given(learned, learned)
def test_matching_is_mutual_and_everything_matches_itself(one, other):
    assert training_data.matched_on(one, other) == training_data.matched_on(other, one)
    assert training_data.matched_on(one, one) == ["rows", "examples"]


def _settings(**changes):
    given = {"method": "sft", "batch_size": 8, "learning_rate": 1e-3, "max_length": 64}
    return Training.model_validate(given | changes)


def _learned(mix, settings, **row):
    train = Train(train="sft", parent="base", mixture="mix", **row)
    return training_data.training(training_data.draws(mix, train, LANGUAGES), settings)


@given(st.integers(1, 100), fractions)
def test_monolingual_sets_and_the_parts_of_a_mix_together_are_the_mix(per_language, parts):
    mix = Mixture(per_language=per_language, parts=parts)
    whole = _learned(mix, _settings())
    by_language = training_data.together([_learned(mix, _settings(), languages=[code]) for code in LANGUAGES])
    by_part = training_data.together([_learned(mix, _settings(), parts=[part]) for part in parts])
    for split in (by_language, by_part):
        assert training_data.matched_on(whole, split) == ["rows", "examples"]
    twice = _learned(mix, _settings(epochs=2))
    assert training_data.matched_on(whole, twice) == ["rows"]
    if len(LANGUAGES) > 1:
        assert "rows" not in training_data.matched_on(whole, _learned(mix, _settings(), languages=["en"]))


def test_the_same_number_of_rows_of_another_draw_is_not_the_same_rows():
    one, other = (Mixture(per_language=10, parts={"general": 1.0}, seed=seed) for seed in (0, 1))
    assert training_data.matched_on(_learned(one, _settings()), _learned(other, _settings())) == ["examples"]


def test_steps_round_up_by_epoch_and_fractions_of_epochs_count():
    mix = Mixture(per_language=7, parts={"general": 1.0})  # 21 rows
    assert _learned(mix, _settings()).steps == 3
    assert _learned(mix, _settings(epochs=2)).steps == 6
    assert _learned(mix, _settings(epochs=0.5)).steps == 2
    assert _learned(mix, _settings(epochs=2)).examples == 42


@pytest.mark.parametrize(
    "row",
    [{}, {"languages": ["hi"]}, {"parts": ["safety"]}, {"per_language": 7}, {"per_language": 3, "parts": ["general"]}],
)
def test_what_is_computed_is_what_is_drawn(row):
    mix = Mixture(per_language=20, parts={"general": 0.7, "safety": 0.3}, seed=5)
    sources = {
        kind: world.rows(kind, LANGUAGES, {"train": 40}, seed, kind) for kind, seed in (("general", 1), ("safety", 2))
    }
    table = mixture.draw({**mix.model_dump(), "parts": list(mix.parts.items()), "languages": LANGUAGES}, sources)
    counts = allocation.allocate(row["per_language"], mix.parts) if "per_language" in row else None
    chosen = mixture.select(table, row.get("languages"), row.get("parts"), counts)
    found = Counter(zip(chosen["part"].to_pylist(), chosen["language"].to_pylist(), strict=True))
    computed = training_data.draws(mix, Train(train="sft", parent="base", mixture="mix", **row), LANGUAGES)
    assert {(part, 5, language): count for (part, language), count in found.items()} == computed
