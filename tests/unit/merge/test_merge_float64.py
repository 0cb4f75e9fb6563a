"""Each method agrees with its formula in float64, within the rounding of float32."""

from pathlib import Path

import numpy as np
import pytest
import reference_merges as reference
import torch

from tests.unit.merge.tiny import METHODS, PARENTS, Case, assert_close, case, completed, float64, run_case
from workflow_scripts.config.merge_methods import DRAW

Arrays = list[np.ndarray]


def sparse(recipe: dict, base: np.ndarray, parents: Arrays, masks: Arrays) -> np.ndarray:
    keys = ("weights", "normalize", "rescale", "lambda")
    settings = {key: recipe.get(key, False) for key in keys}
    elect = recipe["method"] in ("ties", "dare_ties", "della", "breadcrumbs_ties")
    return reference.from_task_vectors(
        base, parents, masks, settings["weights"], settings["normalize"], settings["rescale"], settings["lambda"], elect
    )


def trimmed(recipe: dict, base: np.ndarray, parents: Arrays, drawn: Arrays) -> np.ndarray:
    deltas = [parent - base for parent in parents]
    return sparse(recipe, base, parents, list(map(reference.largest, deltas, recipe["density"])))


def broken(recipe: dict, base: np.ndarray, parents: Arrays, drawn: Arrays) -> np.ndarray:
    deltas = [parent - base for parent in parents]
    masks = list(map(reference.without_outliers, deltas, recipe["density"], recipe["gamma"]))
    return sparse(recipe, base, parents, masks)


def rotated(recipe: dict, base: np.ndarray | None, parents: Arrays, drawn: Arrays) -> np.ndarray:
    axis = None if recipe["nuslerp_flatten"] else 0 if recipe["nuslerp_row_wise"] else -1
    return reference.nuslerp(parents, recipe["weights"], base, axis)


# Method -> recipe, base, parents and, where it draws, the masks that it drew -> the merge.
REFERENCES = {
    "arcee_fusion": lambda r, b, p, m: reference.arcee_fusion(*p),
    "breadcrumbs": broken,
    "breadcrumbs_ties": broken,
    "dare_linear": sparse,
    "dare_ties": sparse,
    "della": sparse,
    "della_linear": sparse,
    "karcher": lambda r, b, p, m: reference.karcher(p),
    "linear": lambda r, b, p, m: reference.linear(p, r["weights"], r["normalize"]),
    "model_stock": lambda r, b, p, m: reference.model_stock(b, p, r["filter_wise"]),
    "multislerp": lambda r, b, p, m: reference.multislerp(p, r["weights"], b, r["normalize_weights"]),
    "nearswap": lambda r, b, p, m: reference.nearswap(*p, r["t"]),
    "nuslerp": rotated,
    "passthrough": lambda r, b, p, m: reference.passthrough(*p, *r["scale"]),
    "ram": lambda r, b, p, m: reference.ram(b, p, r["epsilon"]),
    "ramplus_tl": lambda r, b, p, m: reference.ram(b, p, r["epsilon"], r["r"], r["alpha"]),
    "sce": lambda r, b, p, m: reference.sce(b, p, r["select_topk"]),
    "slerp": lambda r, b, p, m: reference.slerp(*p, r["t"]),
    "task_arithmetic": lambda r, b, p, m: sparse(r, b, p, [1.0] * len(p)),
    "ties": trimmed,
}

CASES = [
    case("arcee_fusion"),
    case("breadcrumbs", gamma=[0.05, 0.2]),
    case("breadcrumbs", density=[0.9, 1.0], gamma=0.2, normalize=True),
    case("breadcrumbs", weights=[-0.4, 1.0], rescale=True, **{"lambda": 0.6}),
    case("breadcrumbs_ties", 3, gamma=0.1),
    case("breadcrumbs_ties", density=0.3, normalize=True, rescale=True),
    case("dare_linear", weights=[0.7, 1.5]),
    case("dare_linear", rescale=False, normalize=True, **{"lambda": 2.0}),
    case("dare_ties", density=[0.5, 0.3]),
    case("dare_ties", weights=[1.0, -0.5], normalize=True, seed=0),
    case("dare_ties", 3, rescale=False),
    case("della"),
    case("della", 3, epsilon=0.05, weights=[1.0, -0.5, 0.2], density=0.3, rescale=False, normalize=False),
    case("della_linear", epsilon=[0.0, 0.2], density=[0.5, 0.3]),
    case("karcher", 2),
    case("karcher", 3, max_iter=50, tol=1e-6),
    case("linear", weights=[0.7, 0.6]),
    case("linear", 3, weights=[0.2, -0.5, 0.9], normalize=False),
    case("linear", 1),
    case("model_stock"),
    case("model_stock", 3),
    case("model_stock", 3, filter_wise=True),
    case("multislerp", weights=[0.2, 0.9]),
    case("multislerp", 3, weights=[0.2, 0.9, 0.4], normalize_weights=False),
    case("multislerp", 3, base=True, weights=[0.2, -0.1, 0.4]),
    case("nearswap", t=0.2),
    case("nearswap", t=1e-4),
    case("nuslerp", weights=[0.2, 0.9]),
    case("nuslerp", base=True, weights=[0.2, 0.9]),
    case("nuslerp", weights=[3.0, 1.0], nuslerp_flatten=False),
    case("nuslerp", weights=[3.0, 1.0], nuslerp_flatten=False, nuslerp_row_wise=True),
    case("nuslerp", base=True, weights=[0.6, -0.1], nuslerp_flatten=False, nuslerp_row_wise=True),
    case("passthrough"),
    case("passthrough", scale=-0.5),
    case("ram", 3, epsilon=0.4),
    case("ramplus_tl", 3, epsilon=0.4, r=0.5, alpha=0.8),
    case("ramplus_tl", 3, epsilon=0.9, r=0.5, alpha=0.8),
    case("sce", 3),
    case("sce", 3, select_topk=0.3),
    case("slerp", t=0.1),
    case("slerp", t=0.8),
    case("task_arithmetic", weights=[0.7, -0.5], **{"lambda": 0.6}),
    case("task_arithmetic", 3, normalize=True),
    case("ties", density=[0.5, 0.3]),
    case("ties", 3, normalize=False, rescale=True, **{"lambda": 0.6}),
    case("ties", weights=[1.0, -0.5], density=[1.0, 0.9], int8_mask=True),
]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[tuple[np.ndarray, np.ndarray]]:
    """What is drawn from now on, in its order: probabilities and mask."""
    found, bernoulli = [], torch.bernoulli

    def recorded(probabilities: torch.Tensor) -> torch.Tensor:
        mask = bernoulli(probabilities)
        found.append((probabilities.double().numpy(), mask.double().numpy()))
        return mask

    monkeypatch.setattr(torch, "bernoulli", recorded)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)  # so that tensors are merged in the order of their names
    return found


def test_every_method_has_a_reference_and_a_case() -> None:
    assert REFERENCES.keys() == {one.method for one in CASES} == METHODS.keys()


@pytest.mark.parametrize("one", CASES, ids=str)
def test_a_method_agrees_with_its_formula_in_float64(
    far: dict[str, Path], tmp_path: Path, one: Case, drawn: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    run_case(far, one, tmp_path / "merged")
    recipe = completed(*one)
    base = float64(far["base"])
    parents = [float64(far[name]) for name in PARENTS[: one.parents]]
    expected = {}
    for name in sorted(base):
        masks = [drawn.pop(0)[1].reshape(base[name].shape) for _ in parents] if one.method in DRAW else []
        start = base[name] if one.base else None
        expected[name] = REFERENCES[one.method](recipe, start, [parent[name] for parent in parents], masks)
    assert_close(tmp_path / "merged", expected, atol=1e-6)
    assert not drawn
    moved = [not np.allclose(tensor, parent[name]) for name, tensor in expected.items() for parent in parents]
    assert all(moved) or one.parents == 1, "a reference that gives a parent back shows little"


@pytest.mark.parametrize("one", [case("della", density=[0.6, 0.3]), case("della_linear", epsilon=0.05)], ids=str)
def test_della_keeps_by_the_rank_of_a_magnitude_in_its_row(
    far: dict[str, Path], tmp_path: Path, one: Case, drawn: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    run_case(far, one, tmp_path / "merged")
    recipe, base = completed(*one), float64(far["base"])
    parents = [float64(far[name]) for name in PARENTS[:2]]
    for name in sorted(base):
        for parent, density, epsilon in zip(parents, recipe["density"], recipe["epsilon"], strict=True):
            expected = reference.della_probabilities(parent[name] - base[name], density, epsilon)
            probabilities, mask = drawn.pop(0)
            np.testing.assert_allclose(probabilities.reshape(expected.shape), expected, atol=1e-6)
            assert abs(mask.mean() - density) < 5 * np.sqrt(density * (1 - density) / mask.size)


@pytest.mark.parametrize("one", [case("dare_ties", density=[0.5, 0.3]), case("dare_linear")], ids=str)
def test_dare_keeps_each_entry_with_one_probability(
    far: dict[str, Path], tmp_path: Path, one: Case, drawn: list[tuple[np.ndarray, np.ndarray]]
) -> None:
    run_case(far, one, tmp_path / "merged")
    densities = completed(*one)["density"]
    assert len(drawn) == len(densities) * len(float64(far["base"]))
    for index, (probabilities, _) in enumerate(drawn):
        np.testing.assert_allclose(probabilities, densities[index % 2], rtol=1e-6)
