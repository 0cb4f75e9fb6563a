from pathlib import Path

import numpy as np
import pytest
import reference_merges as reference
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from mergekit import merge_methods as mergekit_methods
from mergekit.config import evaluate_setting

from tests.unit.merge.tiny import AYA, DARE, LINEAR, SLERP, TIES, merge, merge_arrays, run, weights, write_model
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import settings as merge_settings
from workflow_scripts.merge import with_mergekit

NUMBERS = st.floats(-4, 4, allow_nan=False, width=16)


@settings(max_examples=20, deadline=None)
@given(
    vectors=st.integers(1, 4).flatmap(
        lambda n: st.lists(st.lists(NUMBERS, min_size=n, max_size=n), min_size=2, max_size=4)
    ),
    weight=st.floats(0.1, 3),
)
def test_linear_with_equal_weights_is_the_mean_in_any_order(vectors: list[list[float]], weight: float) -> None:
    recipe = LINEAR | {"weights": [weight] * len(vectors)}
    parents = [np.array(vector) for vector in vectors]
    merged = merge_arrays(recipe, parents)
    np.testing.assert_allclose(merged, np.mean(parents, axis=0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(merged, merge_arrays(recipe, parents[::-1]), rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(angle=st.floats(0.1, 3.0), t=st.floats(0, 1), size=st.floats(0.1, 10))
def test_slerp_turns_at_constant_speed_and_keeps_the_length(angle: float, t: float, size: float) -> None:
    start, end = size * np.array([1, 0, 0]), size * np.array([np.cos(angle), np.sin(angle), 0])
    merged = merge_arrays(SLERP | {"t": t}, [start, end])
    expected = size * np.array([np.cos(t * angle), np.sin(t * angle), 0])
    np.testing.assert_allclose(merged, expected, atol=2e-5 * size)


@settings(max_examples=20, deadline=None)
@given(
    base=st.lists(NUMBERS, min_size=12, max_size=12),
    density=st.floats(0.05, 1),
    magnitudes=st.lists(st.sampled_from([-3.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 3.0]), min_size=12, max_size=12),
)
@example(base=[0.0] * 12, density=0.5, magnitudes=[1.0, -1.0] * 6)
def test_ties_trims_the_stated_share_and_differs_only_where_magnitudes_tie(
    base: list[float], density: float, magnitudes: list[float]
) -> None:
    # Halves and quarters on a grid of 1/1024: every difference is exact in float32.
    origin = np.round(np.array(base) * 1024) / 1024
    delta = np.array(magnitudes)
    recipe = TIES | {"weights": [1.0], "density": [density]}
    kept = merge_arrays(recipe, [origin + delta], origin) - origin
    expected = delta * reference.largest(delta, density)
    assert np.count_nonzero(kept) == np.count_nonzero(expected) == (12 if density >= 1 else max(1, int(density * 12)))
    threshold = np.abs(expected[expected != 0]).min()
    assert set(np.abs((kept - expected)[kept != expected])) <= {threshold}
    assert np.abs(kept).sum() == np.abs(expected).sum()


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**40), density=st.floats(0.2, 1))
def test_dare_keeps_the_l1_norm_not_the_expectation(seed: int, density: float) -> None:
    delta = np.linspace(-1, 1, 60)
    recipe = DARE | {"weights": [1.0], "density": [density], "seed": seed}
    merged = merge_arrays(recipe, [delta], np.zeros(60))
    np.testing.assert_allclose(np.abs(merged).sum(), np.abs(delta).sum(), rtol=1e-5)
    kept = merged != 0
    factors = merged[kept] / delta[kept]
    np.testing.assert_allclose(factors, factors[0], rtol=1e-5, err_msg="one factor for all")


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10**6), angle=st.floats(0.0305, 0.0335) | st.floats(0, 3.2))
def test_the_linear_share_is_what_mergekit_decides(seed: int, angle: float) -> None:
    one, other = torch.randn(2, 300, generator=torch.Generator().manual_seed(seed))
    other -= one * (one @ other) / (one @ one)
    two = np.cos(angle) * one + np.sin(angle) * other / other.norm() * one.norm()
    decisions = []
    acos = torch.acos
    with pytest.MonkeyPatch.context() as patch:
        # mergekit takes the angle of the cosine, or of 0 in place of a cosine above its threshold.
        patch.setattr(torch, "acos", lambda cosine: (decisions.append(bool((cosine == 0).all())), acos(cosine))[1])
        mergekit_methods.merge_tensors([one, two], "slerp", parameters={"t": 0.5}, base_index=0)
    assert [with_mergekit.interpolates_linearly(one, two)] == decisions


def test_a_gradient_gives_layers_embeddings_and_final_norm_their_own_values(
    models: dict[str, Path], tmp_path: Path
) -> None:
    falling = {"layers": [1, 0], "embeddings": 0.25, "final_norm": 0}
    rising = {"layers": [0, 1], "embeddings": 0.75, "final_norm": 1}
    run(models, LINEAR | {"weights": [falling, rising]}, tmp_path / "linear")
    run(models, SLERP | {"t": rising}, tmp_path / "slerp")
    one, two = weights(models["first"]), weights(models["second"])
    for model in ("linear", "slerp"):
        merged = weights(tmp_path / model)
        assert all(torch.equal(merged[name], one[name]) for name in merged if ".layers.0." in name)
        assert all(torch.equal(merged[name], two[name]) for name in merged if ".layers.1." in name)
        assert torch.equal(merged["model.norm.weight"], two["model.norm.weight"])
    name = "model.embed_tokens.weight"
    torch.testing.assert_close(weights(tmp_path / "linear")[name], 0.25 * one[name] + 0.75 * two[name])


def test_a_gradient_is_interpolated_over_depth(tmp_path: Path) -> None:
    config = AYA | {"num_hidden_layers": 5}
    parents = [
        write_model(tmp_path / str(k), {f"model.layers.{n}.w": torch.full((2,), float(k)) for n in range(5)}, config)
        for k in (0, 1)
    ]
    gradient = {"layers": [0, 1, 0.5], "embeddings": 0, "final_norm": 0}
    merge(LINEAR | {"weights": [1, gradient], "normalize": False}, parents, None, tmp_path / "merged")
    merged = weights(tmp_path / "merged")
    assert [merged[f"model.layers.{n}.w"][0].item() for n in range(5)] == [0, 0.5, 1, 0.75, 0.5]


@given(values=st.lists(st.floats(-9, 9), min_size=1, max_size=6), layer=st.integers(0, 40), above=st.integers(0, 40))
@example(values=[0.1, 0.7, 0.2], layer=2, above=3)
def test_a_gradient_has_the_bits_of_mergekits(values: list[float], layer: int, above: int) -> None:
    depth = layer / (layer + above) if layer else 0.0
    expected = evaluate_setting("w", values, depth, validate=float)
    assert merge_settings._interpolated(values, depth).hex() == expected.hex()


def test_a_gradient_refuses_a_tensor_that_it_gives_no_value(tmp_path: Path) -> None:
    parents = [write_model(tmp_path / str(k), {"model.strange.w": torch.ones(2)}, AYA) for k in (0, 1)]
    with pytest.raises(UserError, match=r"model\.strange\.w lies in no layer"):
        gradient = {"layers": [0, 1], "embeddings": 0, "final_norm": 0}
        merge(SLERP | {"t": gradient}, parents, None, tmp_path / "merged")
