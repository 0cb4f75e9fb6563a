"""TSV-M, a merge method beside the config, is its paper's formula."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.merge.tiny import ROOT, assert_close, float64
from workflow_scripts.base import beside
from workflow_scripts.merge import settings, with_mergekit
from workflow_scripts.merge.methods import METHODS


@pytest.fixture(autouse=True)
def _beside_the_config(own_folder, described) -> None:
    beside.use([ROOT / "config.yaml"])


def nearest(vectors: np.ndarray) -> np.ndarray:
    """The nearest matrix with orthonormal rows or columns, by the polar decomposition."""
    short = vectors.T if vectors.shape[0] < vectors.shape[1] else vectors
    values, axes = np.linalg.eigh(short.T @ short)
    polar = short @ (axes / np.sqrt(values)) @ axes.T
    return polar.T if short is not vectors else polar


def formula(base: np.ndarray, parents: list[np.ndarray], scale: float) -> np.ndarray:
    """arXiv 2412.00081, algorithm 1, for one layer in float64."""
    deltas = [parent - base for parent in parents]
    if base.ndim != 2:
        return base + scale * np.mean(deltas, axis=0)
    keep = min(base.shape) // len(deltas)
    parts = [np.linalg.svd(delta, full_matrices=False) for delta in deltas]
    left = nearest(np.hstack([u[:, :keep] for u, _, _ in parts]))
    right = nearest(np.vstack([v[:keep] for _, _, v in parts]))
    return base + scale * left @ np.diag(np.concatenate([s[:keep] for _, s, _ in parts])) @ right


@pytest.mark.parametrize("changes", [{}, {"scale": 0.5}])
def test_tsv_m_agrees_with_its_formula(models: dict[str, Path], tmp_path: Path, changes: dict) -> None:
    recipe = {"method": "tsv_m", **changes}
    settings.check(recipe, 2, base=True)
    with_mergekit.merge(recipe, [models["first"], models["second"]], models["base"], tmp_path / "merged")
    base, one, two = (float64(models[name]) for name in ("base", "first", "second"))
    scale = changes.get("scale", 1.0)
    assert_close(tmp_path / "merged", {n: formula(base[n], [one[n], two[n]], scale) for n in base}, atol=1e-5)


def test_what_it_takes_is_known_without_running_it_again() -> None:
    method = METHODS["tsv_m"]
    assert (method.title, method.needs_base, method.own) == ("TSV-M", True, True)
    assert method.parameters["scale"].schema == {"type": "number", "minimum": 0}
    assert METHODS["tsv_m"] is method
