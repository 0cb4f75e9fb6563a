"""A merge states all its parameters, and ancestors are found."""

from tests.unit.experiment.checked import changed, row
from workflow_scripts.experiment.table_of_models import load


def test_a_merge_states_every_parameter_once_per_parent_and_a_seed_per_chain():
    edits = {
        "merging/dare": {"method": "dare_ties", "base": "base", "weights": 1, "density": [0.5, 0.2], "seed": 3},
        "models/dare": {"merge": "dare", "parents": ["mix", "general"]},
    }
    recipe = load(changed(edits)).models["dare"].merge_recipe(seed=2)
    assert recipe == {
        "method": "dare_ties", "weights": [1.0, 1.0], "density": [0.5, 0.2], "seed": 2003, "normalize": False,
        "rescale": True, "lambda": 1.0, "int8_mask": False, "dtype": "float32", "out_dtype": None,
    }  # fmt: skip


def test_ancestry_is_walked_once_however_often_models_share_their_ancestors():
    edits = {f"models/m{i}": {"merge": "slerp", "parents": [f"m{i - 1}", f"m{i - 1}"]} for i in range(1, 60)}
    experiment = load(changed({"models/m0": row(), **edits}))
    assert len(experiment.ancestry("m59")) == 62
