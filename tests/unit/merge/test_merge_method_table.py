"""The table of merge methods, which configs are checked by, is what mergekit says of its methods; and what we add."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from mergekit.merge_methods import merge_tensors, registered_methods

from tests.unit.merge.tiny import CASES, METHODS, Case, case, completed
from workflow_scripts.config.merge_methods import BUILT_IN, CALLED, DIVIDE, DRAW, IDLE, LIMITS, MAY_DRAW, STATED, TABLE
from workflow_scripts.config.merging import section
from workflow_scripts.merge import describe_methods, with_mergekit

OURS: dict[str, Any] = json.loads(TABLE.read_text(encoding="utf-8"))
THEIRS: dict[str, Any] = json.loads(
    describe_methods.text({one.spec.name: describe_methods.describe(one) for one in registered_methods()})
)
NO_DEFAULT = "none"


def differences(ours: dict[str, Any], theirs: dict[str, Any]) -> list[str]:
    """How mergekit differs from a table, in words."""
    found = [f"{name}: mergekit has this method, the table has not" for name in sorted(theirs.keys() - ours.keys())]
    found += [f"{name}: mergekit has no such method any more" for name in sorted(ours.keys() - theirs.keys())]
    words = {
        "base": "base model",
        "inputs": "least and most models, with the base and without",
        "title": "title",
        "source": "source",
    }
    for name in sorted(ours.keys() & theirs.keys()):
        one, other = ours[name], theirs[name]
        found += [f"{name}: {what}: {one[key]} in the table, {other[key]} in mergekit"
                  for key, what in words.items() if one[key] != other[key]]  # fmt: skip
        mine, yours = one["parameters"], other["parameters"]
        found += [f"{name}.{key}: mergekit has this parameter, the table has not" for key in yours if key not in mine]
        found += [f"{name}.{key}: mergekit has no such parameter any more" for key in mine if key not in yours]
        for key in (key for key in mine if key in yours):
            for part in ("scope", "schema", "default"):
                was, now = (side[key].get(part, NO_DEFAULT) for side in (mine, yours))
                if was != now:
                    found.append(f"{name}.{key}: {part}: {was} in the table, {now} in mergekit")
    return found


def test_the_table_is_what_mergekit_says() -> None:
    found = differences(OURS, THEIRS)
    again = "python -m workflow_scripts describe_methods > workflow_scripts/config/merge_methods.json"
    assert not found, "\n".join([*found, f"read what changed in mergekit, adapt tests/unit/merge, then: {again}"])
    assert TABLE.read_text(encoding="utf-8").rstrip("\n") == describe_methods.text(OURS)


def _without(*path: str) -> Callable[[dict], object]:
    def change(table: dict) -> object:
        for key in path[:-1]:
            table = table[key]
        return table.pop(path[-1])

    return change


def _with(value: object, *path: str) -> Callable[[dict], object]:
    def change(table: dict) -> object:
        for key in path[:-1]:
            table = table[key]
        return table.__setitem__(path[-1], value)

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_without("sce"), "sce: mergekit has this method, the table has not"),
        (_with({}, "median"), "median: mergekit has no such method any more"),
        (_without("ties", "parameters", "weight"), "ties.weight: mergekit has this parameter, the table has not"),
        (
            _with({"scope": "shared", "schema": {}}, "slerp", "parameters", "u"),
            "slerp.u: mergekit has no such parameter any more",
        ),
        (
            _with(0.9, "ties", "parameters", "density", "default"),
            "ties.density: default: 0.9 in the table, 1.0 in mergekit",
        ),
        (_with(1, "slerp", "parameters", "t", "default"), "slerp.t: default: 1 in the table, none in mergekit"),
        (
            _without("linear", "parameters", "normalize", "default"),
            "linear.normalize: default: none in the table, True in mergekit",
        ),
        (
            _with("input", "nuslerp", "parameters", "weight", "scope"),
            "nuslerp.weight: scope: input in the table, non_base in mergekit",
        ),
        (
            _with({"type": "integer"}, "ram", "parameters", "epsilon", "schema"),
            "ram.epsilon: schema: {'type': 'integer'} in the table, {'type': 'number'} in mergekit",
        ),
        (
            _with("required", "multislerp", "base"),
            "multislerp: base model: required in the table, optional in mergekit",
        ),
        (
            _with([2, None, None, None], "model_stock", "inputs"),
            "model_stock: least and most models, with the base and without: [2, None, None, None] in the table, "
            "[3, None, None, None] in mergekit",
        ),
        (_with("Ties", "ties", "title"), "ties: title: Ties in the table, TIES in mergekit"),
    ],
)
def test_a_difference_from_mergekit_is_named(change: Callable[[dict], object], said: str) -> None:
    doctored = copy.deepcopy(THEIRS)
    change(doctored)
    assert differences(doctored, THEIRS) == [said]


def test_the_table_was_made_from_the_version_that_merges_need() -> None:
    assert with_mergekit.metadata.version("mergekit") == with_mergekit.MERGEKIT


def test_every_method_of_mergekit_has_a_recipe_here_of_what_it_requires_and_nothing_else() -> None:
    assert METHODS.keys() == {one.spec.name for one in registered_methods()}
    for name, recipe in METHODS.items():
        fields = section(BUILT_IN[name]).model_fields.items()
        assert recipe.keys() == {"method"} | {key for key, field in fields if field.is_required()}, name


@pytest.mark.parametrize("one", CASES, ids=str)
def test_a_recipe_states_every_parameter_that_has_an_effect(one: Case) -> None:
    stated = completed(*one)
    expected = {CALLED.get(key, key) for key in OURS[one.method]["parameters"]} - IDLE.get(one.method, set())
    assert expected <= stated.keys()


VALUES: dict[str, Any] = {  # other values than in METHODS or by default
    "alpha": 0.5,
    "density": 0.3,
    "eps": 0.1,
    "epsilon": 0.05,
    "filter_wise": True,
    "gamma": 0.3,
    "int8_mask": True,
    "lambda": 0.5,
    "max_iter": 1,
    "normalize_weights": False,
    "nuslerp_flatten": False,
    "nuslerp_row_wise": True,
    "r": 0.9,
    "scale": 2.0,
    "select_topk": 0.3,
    "t": 0.5,
    "tol": 2.0,
    "weight": [0.9, 0.2, 0.5],
}

# What makes a parameter count, where that is not so by default.
GIVEN = {
    "nuslerp_row_wise": {"nuslerp_flatten": False},
    "alpha": {"epsilon": 0.4},
    "r": {"epsilon": 0.4},
}


def test_a_parameter_that_changes_nothing_is_refused_and_every_other_changes_something() -> None:
    """But `int8_mask` where signs are elected: it saves memory, and no bit depends on it."""
    generator = torch.Generator().manual_seed(0)
    base, *deltas = torch.randn(4, 12, 16, generator=generator)
    found: dict[str, set[str]] = {}
    for method in registered_methods():
        name, specs = method.spec.name, {one.name: one for one in method.spec.parameters}
        one = case(name, BUILT_IN[name].parents(case(name).base)[1] or 3)
        own = {CALLED.get(key, key): key for key in specs}
        required = {own[key]: value for key, value in one.recipe.items() if key in own}
        tensors = [base + 0.5 * delta for delta in deltas[: one.parents]]
        tensors = [base, *tensors] if one.base else tensors
        base_index = 0 if one.base or BUILT_IN[name].first_parent_is_base else None

        def merged(method: Any = method, tensors: Any = tensors, index: Any = base_index, **parameters: Any) -> Any:
            torch.manual_seed(0)
            return merge_tensors(tensors, method, parameters=parameters, base_index=index)

        for key, spec in specs.items():
            given = required | {name: value for name, value in GIVEN.get(key, {}).items() if name in specs}
            other = VALUES.get(key, not spec.default)
            other = other[: one.parents] if isinstance(other, list) else other
            if torch.equal(merged(**given), merged(**(given | {key: other}))):
                found.setdefault(name, set()).add(key)
    electing = {"ties", "dare_ties", "della", "breadcrumbs_ties", "sce"}
    assert {name: keys - ({"int8_mask"} if name in electing else set()) for name, keys in found.items()} == (
        IDLE | {name: set() for name in electing}
    )


def test_the_methods_that_draw_are_those_that_change_torchs_generator() -> None:
    base, *parents = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(0))
    drew = set()
    for method in registered_methods():
        one, row = case(method.spec.name), BUILT_IN[method.spec.name]
        stated = completed(*one)
        parameters = {parameter.name: stated[key] for key, parameter in row.parameters.items()}
        tensors = [base, *parents[: one.parents]] if one.base else parents[: one.parents]
        base_index = 0 if one.base or row.first_parent_is_base else None
        before = torch.get_rng_state()
        merge_tensors(tensors, method, parameters=parameters, base_index=base_index)
        if not torch.equal(before, torch.get_rng_state()):
            drew.add(method.spec.name)
    assert drew == DRAW


def test_what_we_add_to_the_table_is_about_parameters_that_there_are() -> None:
    of_methods = {f"{name}.{one}" for name, said in OURS.items() for one in said["parameters"]}
    known = of_methods | {one.partition(".")[2] for one in of_methods}
    assert {*LIMITS, *STATED, *CALLED} <= known
    assert {f"{name}.{one}" for name, ones in IDLE.items() for one in ones} <= of_methods
    assert DRAW | MAY_DRAW | DIVIDE.keys() <= BUILT_IN.keys()
