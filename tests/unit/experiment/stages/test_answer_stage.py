"""What answers are made of."""

from tests.unit.experiment.everything import BEFORE, LABELLED, edited, named


def test_sampling_counts_only_where_there_is_a_temperature():
    greedy = named(edited({"generation/seed": 8, "generation/top_p": 0.5}))["answers mix"]
    assert greedy.params == BEFORE["answers mix"].params
    sampled = [named(edited({"generation/temperature": 0.7, "generation/seed": seed})) for seed in (0, 8)]
    assert len({str(found["answers mix"].params) for found in sampled}) == 2


def test_auto_is_settled_when_the_experiment_is_read():
    """Jobs may run on another machine than the one where it is read."""
    on_gpus = named(edited({"generation/engine": "auto", "machine/gpus_per_node": 4}))["answers mix"]
    assert on_gpus.units == ("generate:vllm",)
    here = named(edited({"generation/engine": "auto"}))["answers mix"]
    assert here.units == ("generate:transformers",)


def test_models_answer_all_suites_but_those_that_bring_their_answers():
    found = named(edited({"suites/known": LABELLED}))
    assert [path.stem for path in found["answers mix"].outputs["answers"]] == ["general", "native", "redteam"]


def test_models_that_are_not_evaluated_have_no_answers():
    assert "answers init" not in BEFORE
    assert "answers mono" not in named(edited({"models/mono/evaluate": False}))
