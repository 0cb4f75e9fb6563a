"""Where mergekit 0.1.5 does not do what a method's paper says; docs/merging.md lists these for users."""

import numpy as np
import pytest
import reference_merges as reference

from tests.unit.merge.tiny import METHODS, case, merge_arrays, run_case, weights

RANDOM = np.random.default_rng(0)
BASE, *DELTAS = RANDOM.normal(size=(4, 16, 12))


def merged(method: str, sizes: list[float], base: bool = True, **changes: object) -> np.ndarray:
    """A merge of parents whose differences from the base have these sizes."""
    one = case(method, len(sizes), base, **changes)
    parents = [BASE + size * delta for size, delta in zip(sizes, DELTAS, strict=False)]
    return merge_arrays(one.recipe, parents, BASE if base else None)


def test_multislerp_is_no_slerp_but_for_equal_weights() -> None:
    """Its step in the tangent space is zero: it interpolates linearly and corrects the length."""
    one, two = np.array([1.0, 0, 0]), np.array([0, 1.0, 0])
    recipe = METHODS["multislerp"]
    halfway = merge_arrays(recipe | {"weights": 1.0}, [one, two])
    np.testing.assert_allclose(halfway, reference.slerp(one, two, 0.5), atol=1e-6)
    quarter = merge_arrays(recipe | {"weights": [3, 1]}, [one, two])
    np.testing.assert_allclose(quarter, np.array([3, 1, 0]) / np.sqrt(10), atol=1e-6)  # 18.4 degrees, not 22.5


def test_nuslerps_row_wise_turns_columns_and_without_it_rows() -> None:
    """mergekit's documentation has it the other way round; a row is what one output of a layer is computed with."""
    one, two = np.array([[1.0, 0], [1, 0]]), np.array([[0, 1.0], [1, 0]])
    recipe = METHODS["nuslerp"] | {"nuslerp_flatten": False}
    half = np.sqrt(0.5)
    np.testing.assert_allclose(merge_arrays(recipe, [one, two]), [[half, half], [1, 0]], atol=1e-6)
    columns = merge_arrays(recipe | {"nuslerp_row_wise": True}, [one.T, two.T])
    np.testing.assert_allclose(columns, np.array([[half, half], [1, 0]]).T, atol=1e-6)


@pytest.mark.parametrize("method", ["ties", "breadcrumbs"])
def test_task_vectors_are_trimmed_tensor_by_tensor_not_over_the_model(far, tmp_path, method) -> None:
    one = case(method, 1, density=0.25, gamma=0.1) if method == "breadcrumbs" else case(method, 1, density=0.25)
    run_case(far, one, tmp_path / "merged")
    base = weights(far["base"])
    for name, tensor in weights(tmp_path / "merged").items():
        assert (tensor != base[name]).sum() == tensor.numel() // 4, name


def test_ties_elects_plus_where_signs_balance() -> None:
    delta = np.abs(DELTAS[0])
    found = merge_arrays(METHODS["ties"] | {"weights": 1.0, "density": 1.0}, [delta, -delta], np.zeros_like(delta))
    np.testing.assert_allclose(found, delta, rtol=1e-6)


@pytest.mark.parametrize("method", ["dare_linear", "dare_ties", "della", "della_linear"])
def test_what_is_kept_at_random_is_scaled_by_one_factor_to_the_l1_norm(method) -> None:
    changes = {"weights": 1.0} | ({"epsilon": 0.3} if method.startswith("della") else {})
    found = merged(method, [1.0], density=0.5, **changes) - BASE
    np.testing.assert_allclose(np.abs(found).sum(), np.abs(DELTAS[0]).sum(), rtol=1e-5)
    kept = np.abs(found) > 1e-5
    factors = found[kept] / DELTAS[0][kept]
    np.testing.assert_allclose(factors, np.median(factors), rtol=1e-3)
    assert not np.isclose(np.median(factors), 1 / 0.5, rtol=1e-3)


@pytest.mark.parametrize("one", [{"density": 1.0}, {"density": 0.9, "gamma": 0.3}])
def test_breadcrumbs_removes_fewer_outliers_than_gamma_to_keep_the_density(one) -> None:
    found = merged("breadcrumbs", [1.0], weights=1.0, **one) - BASE
    kept = np.abs(found) > 1e-5
    assert kept.sum() == int(one["density"] * BASE.size)
    outliers = reference.largest(DELTAS[0], 0.3).astype(bool)
    assert (~kept & outliers).sum() == BASE.size - kept.sum()


def test_sce_weighs_parents_alike_where_their_squares_sum_to_less_than_a_millionth() -> None:
    """As those of a fine-tuned model are: differences of 0.0005 have a mean square of 2.5e-7."""
    parents = [BASE + size * delta for size, delta in zip((4e-4, 8e-4), DELTAS, strict=False)]
    small = merged("sce", [4e-4, 8e-4])
    deltas = np.stack([parent - BASE for parent in parents])
    agree = np.sign(deltas) == np.where(deltas.sum(axis=0) >= 0, 1, -1)
    alike = BASE + (deltas * agree).sum(axis=0) / agree.sum(axis=0)
    np.testing.assert_allclose(small, alike, atol=5e-7)
    assert np.abs(small - reference.sce(BASE, parents, 1.0)).max() > 1e-5
    large = [BASE + size * delta for size, delta in zip((0.4, 0.8), DELTAS, strict=False)]
    np.testing.assert_allclose(merged("sce", [0.4, 0.8]), reference.sce(BASE, large, 1.0), atol=1e-6)


def test_model_stock_keeps_the_base_where_task_vectors_are_short() -> None:
    """Two vectors whose lengths multiply to less than a millionth count as nearly orthogonal, whatever their angle."""
    one = DELTAS[0] / np.linalg.norm(DELTAS[0])
    for length, share in ((1e-2, 1.0), (1e-4, 0.02)):
        found = merge_arrays(METHODS["model_stock"], [length * one] * 2, np.zeros_like(one))
        np.testing.assert_allclose(found, share * length * one, rtol=0.02)


@pytest.mark.parametrize("method", ["ram", "ramplus_tl"])
def test_ram_drops_what_changed_by_less_than_a_hundred_thousandth(method) -> None:
    """An absolute threshold: a preference training at a learning rate of 5e-7 changes few weights by so much."""
    np.testing.assert_array_equal(merged(method, [1e-6, 1e-6]), BASE.astype(np.float32))


def test_ramplus_counts_in_each_tensor() -> None:
    """One tensor has all its changes alone, the other shares them: the paper's factor would be one for both."""
    alone, shared = np.array([1.0, 0, 0, 0]), np.array([1.0, 1, 1, 1])
    recipe = METHODS["ramplus_tl"] | {"r": 1.0, "alpha": 10.0}
    zero = np.zeros(4)
    np.testing.assert_allclose(merge_arrays(recipe, [alone, zero], zero), alone)
    np.testing.assert_allclose(merge_arrays(recipe, [shared, np.array([1.0, 1, 0, 0])], zero), [1, 1, 2, 2])


def test_nearswap_moves_less_than_t_where_models_differ_by_less_than_a_millionth() -> None:
    found = merge_arrays(METHODS["nearswap"] | {"t": 1e-7}, [np.zeros(3), np.array([5e-7, 2e-6, -2e-6])])
    np.testing.assert_allclose(found, [5e-8, 1e-7, -1e-7], rtol=1e-4)


def test_slerp_goes_straight_between_opposite_models() -> None:
    one = DELTAS[0]
    np.testing.assert_allclose(merge_arrays(METHODS["slerp"] | {"t": 0.5}, [one, -one]), 0, atol=1e-7)


def test_karcher_counts_a_zero_tensor_in_the_length_and_not_in_the_direction() -> None:
    one = DELTAS[0]
    np.testing.assert_allclose(merge_arrays(METHODS["karcher"], [one, np.zeros_like(one)]), one / 2, atol=1e-6)


def test_arcee_fusion_chooses_by_rounding_noise_where_weights_changed_by_less_than_a_thousandth() -> None:
    """The divergence of two nearly equal softmaxes is too small for float32: about 1e-8 at differences of 1e-4.

    At 1e-4 it takes other entries than the formula does, a sixth of either are the same; at 1e-2 nearly all are.
    """
    start, change = RANDOM.normal(size=(2, 64, 256))
    agreed = {}
    for size in (1e-4, 1e-2):
        one, other = ((0.02 * start + step * change).astype(np.float32).astype(float) for step in (0, size))
        found = merge_arrays(METHODS["arcee_fusion"], [one, other])
        taken = np.abs(found - one) > np.abs(found - other)
        meant = reference.arcee_fusion(one, other) != one
        agreed[size] = (taken & meant).sum() / (taken | meant).sum()
    assert agreed[1e-4] < 0.3 < 0.98 < agreed[1e-2]
