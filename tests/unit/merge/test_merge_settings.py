import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.merge.tiny import CASES, DARE, LINEAR, METHODS, ROOT, SLERP, TIES, Case, completed, merge_arrays
from workflow_scripts.base.errors import UserError
from workflow_scripts.config.merge_methods import BUILT_IN, Parameter
from workflow_scripts.merge import settings as merge_settings

OF = METHODS  # a method by its line of config
RISING = {"layers": [0.2, 0.9], "embeddings": 0.5, "final_norm": 0.5}


def test_methods_are_known_without_importing_torch() -> None:
    modules = ("models.architecture", "models.directory", "merge.settings")
    code = f"import sys, {', '.join(f'workflow_scripts.{m}' for m in modules)}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize(
    ("recipe", "parents", "base", "message"),
    [
        ({"method": "median"}, 2, False, "'median' is not known"),
        ({k: v for k, v in TIES.items() if k != "density"}, 2, True, "`density`: Field required"),
        ({k: v for k, v in DARE.items() if k != "seed"}, 2, True, "`seed`: Field required"),
        (LINEAR | {"t": 0.5}, 2, False, "`t`: Extra inputs"),
        (TIES | {"seed": 1}, 2, True, "`seed`: Extra inputs"),
        (LINEAR | {"dtype": "int8"}, 2, False, "`dtype`: Input should be 'float32'"),
        (LINEAR | {"out_dtype": "int8"}, 2, False, "`out_dtype`: Input should be 'float32'"),
        (DARE | {"seed": 0.5}, 2, True, "`seed`: Input should be a valid integer"),
        (SLERP, 3, False, "exactly 2 models, not 3"),
        (OF["model_stock"], 1, True, "model_stock takes 2 or more models, not 1"),
        (OF["passthrough"], 2, False, "passthrough takes exactly 1 models, not 2"),
        (OF["nuslerp"], 3, True, "nuslerp takes exactly 2 models, not 3"),
        (OF["multislerp"], 0, True, "multislerp takes 1 or more models, not 0"),
        (LINEAR, 3, False, "`weights`: 2 values for 3 parents"),
        (TIES, 2, False, "ties needs a base"),
        (SLERP, 2, True, "takes no base model"),
        (OF["karcher"], 2, True, "takes no base model"),
        (LINEAR | {"weights": [1, -1]}, 2, False, "sum to 0, and `normalize` divides by that"),
        (LINEAR | {"weights": [0.1, 0.2, -0.3]}, 3, False, "sum to 0"),
        (OF["multislerp"] | {"weights": [2, -2]}, 2, False, "sum to 0, and `normalize_weights` divides by that"),
        (OF["nuslerp"] | {"weights": [2, -2]}, 2, True, "sum to 0, and nuslerp divides by that"),
        (OF["nuslerp"] | {"weights": 0}, 2, False, "sum to 0, and nuslerp divides by that"),
        (LINEAR | {"weights": [1, float("nan")]}, 2, False, "`weights`: "),
        (LINEAR | {"weights": [1, float("inf")]}, 2, False, "`weights`: "),
        (LINEAR | {"weights": []}, 2, False, "`weights`: "),
        (TIES | {"density": [0.5, 0]}, 2, True, "must be above 0 and at most 1, not 0"),
        (TIES | {"normalize": 3}, 2, True, "`normalize`: "),
        (SLERP | {"t": 1.5}, 2, False, "not 1.5"),
        (SLERP | {"t": {"layers": [0, 1]}}, 2, False, "`t`: "),
        (SLERP | {"t": {"layers": [0, 2], "embeddings": 0, "final_norm": 0}}, 2, False, "not 2"),
        (OF["nearswap"] | {"t": 0}, 2, False, "above 0, not 0"),
        (OF["breadcrumbs"] | {"gamma": 1.0}, 2, True, "at least 0 and below 1, not 1"),
        (OF["sce"] | {"select_topk": 0}, 2, True, "above 0 and at most 1, not 0"),
        (OF["karcher"] | {"max_iter": 0}, 2, False, "at least 1, not 0"),
        (OF["karcher"] | {"max_iter": RISING}, 2, False, "`max_iter`: Input should be a valid integer"),
        (OF["passthrough"] | {"scale": float("inf")}, 1, False, "`scale`: "),
        (OF["della"] | {"epsilon": 0.4}, 2, True, r"`epsilon`: density - epsilon must be above 0, density \+ epsilon"),
        (OF["della"] | {"density": 0.9, "epsilon": [0.05, 0.1]}, 2, True, "`epsilon`: density - epsilon"),
        (OF["della"] | {"density": RISING | {"layers": [0.6, 1.0]}}, 2, True, "`epsilon`: density - epsilon"),
        # What mergekit lets pass and never reads.
        (OF["task_arithmetic"] | {"density": 0.5}, 2, True, "`density`: Extra inputs"),
        (OF["task_arithmetic"] | {"rescale": True}, 2, True, "`rescale`: Extra inputs"),
        (OF["dare_linear"] | {"int8_mask": True}, 2, True, "`int8_mask`: Extra inputs"),
        (OF["arcee_fusion"] | {"normalize": True}, 2, False, "`normalize`: Extra inputs"),
    ],
)
def test_a_wrong_setting_is_named(recipe: dict, parents: int, base: bool, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        merge_settings.check(recipe, parents, base)
    assert "\n" not in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    wrong = TIES | {"density": 2, "weights": "all", "dtype": "int8", "seed": 1}
    with pytest.raises(UserError) as caught:
        merge_settings.check(wrong, 2, True)
    assert sorted(line.split("`")[1] for line in str(caught.value).splitlines()) == [
        "density",
        "dtype",
        "seed",
        "weights",
    ]


@pytest.mark.parametrize(
    ("recipe", "parents", "base"),
    [
        (LINEAR | {"weights": [1, -1], "normalize": False}, 2, False),
        (OF["multislerp"] | {"weights": [1, -1], "normalize_weights": False}, 2, False),
        (OF["della"] | {"density": 1.0, "epsilon": 0.4}, 2, True),
        (OF["della"] | {"density": RISING | {"layers": [0.6, 1.0]}, "epsilon": 0}, 2, True),
        (OF["passthrough"] | {"scale": [RISING]}, 1, False),
        (OF["passthrough"] | {"scale": None}, 1, False),
        (OF["nearswap"] | {"t": "1e-4"}, 2, False),  # which YAML reads as text
        (OF["linear"], 7, False),
    ],
)
def test_what_is_right_is_let_pass(recipe: dict, parents: int, base: bool) -> None:
    merge_settings.check(recipe, parents, base)


@pytest.mark.parametrize("one", CASES, ids=str)
def test_a_completed_recipe_is_complete_and_completes_to_itself(one: Case) -> None:
    whole = completed(*one)
    assert completed(whole, one.parents, one.base) == whole


JUNK: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["layers", "embeddings", "final_norm", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=300)
@given(method=st.sampled_from(sorted(METHODS)), parents=st.integers(0, 4), base=st.booleans(), data=st.data())
def test_whatever_is_given_is_let_pass_or_refused_by_its_key(method: str, parents: int, base: bool, data: Any) -> None:
    keys = st.sampled_from([*BUILT_IN[method].parameters, "seed", "dtype", "out_dtype", "no_such_key"])
    recipe = METHODS[method] | data.draw(st.dictionaries(keys, JUNK, max_size=3))
    try:
        merge_settings.check(recipe, parents, base)
    except UserError as error:
        assert all(line.startswith(f"merge by {method}: ") for line in str(error).splitlines())


def values(parameter: Parameter, count: int | None) -> Any:
    """What a parameter may be: anything within its bounds that floats tell apart."""
    schema = parameter.numbers
    low = schema.get("minimum", schema.get("exclusiveMinimum", -3))
    high = schema.get("maximum", schema.get("exclusiveMaximum", low + 6))
    kind = schema.get("type")
    one: Any = st.booleans()
    if kind == "integer":
        one = st.integers(low, low + 20)
    elif kind == "number":
        excluded = {"exclude_min": "exclusiveMinimum" in schema, "exclude_max": "exclusiveMaximum" in schema}
        one = st.floats(low, high, width=16, allow_subnormal=False, **excluded)
    return one if count is None else one | st.lists(one, min_size=count, max_size=count)


@settings(max_examples=150)
@given(method=st.sampled_from(sorted(METHODS)), size=st.integers(2, 30), data=st.data())
def test_what_a_check_lets_pass_merges(method: str, size: int, data: Any) -> None:
    row = BUILT_IN[method]
    base = row.needs_base or (row.takes_base and data.draw(st.booleans()))
    least, most = row.parents(base)
    parents = data.draw(st.integers(least, most or 4))
    recipe = METHODS[method] | {
        key: data.draw(values(parameter, row.values(parameter, parents, base)), label=key)
        for key, parameter in row.parameters.items()
    }
    try:
        merge_settings.check(recipe, parents, base)
    except UserError:
        return
    random = np.random.default_rng(size)
    start = random.normal(size=size)
    models = [start + random.normal(size=size) for _ in range(parents)]
    try:
        assert np.isfinite(merge_arrays(recipe, models, start if base else None)).all()
    except UserError as error:  # what only the tensors show: directions that cancel
        assert method == "multislerp" and "model.layers.0.w: ValueError: The weighted sum" in str(error)
