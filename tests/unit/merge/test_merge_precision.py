"""What of a preference training's small changes a merge sees, by the data type that it computes in.

The schedule is that of experiments/aya23-8b.yaml: AdamW, 937 steps (60,000 pairs in batches of 64), learning rate
5e-7 with 50 steps of warmup, then falling to 0.  Weights are normal with a standard deviation of 0.02, as a model of
this size begins.  A gradient is noise, with a mean of `steady` standard deviations: such a training changes a weight
by about 1e-5 (steady = 0) to 2.5e-5 (0.1), where neighbouring bfloat16 numbers are 6e-5 to 1.2e-4 apart at the weights'
size, and float16 numbers 8e-6 to 1.5e-5.

Cosine of the task vector with the training's true change:

| learning rate, steady | saved as float16: float32 | bfloat16 | saved as bfloat16: float32 | bfloat16 |
| --- | --- | --- | --- | --- |
| 5e-7, 0   | 0.91 | 0.40 | 0.43 | 0.43 |
| 5e-7, 0.1 | 0.99 | 0.53 | 0.62 | 0.62 |
| 1e-6, 0   | 0.98 | 0.51 | 0.60 | 0.60 |

So a merge of float16 parents must compute in float32, and what parents lost when they were saved as bfloat16 no
arithmetic brings back.
"""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.unit.merge.tiny import METHODS, merge, weights, write_model

SIZE, STEPS, WARMUP = 20_000, 937, 50
NAME = "model.layers.0.w"


@cache
def trained(learning_rate: float, steady: float) -> np.ndarray:
    """How AdamW (Loshchilov & Hutter, arXiv 1711.05101; betas 0.9, 0.999, no decay) changes weights."""
    random = np.random.default_rng(0)
    signs = random.choice([-1.0, 1.0], SIZE)
    first, second, moved = np.zeros((3, SIZE))
    for step in range(1, STEPS + 1):
        gradient = random.standard_normal(SIZE) + steady * signs
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient**2
        rate = learning_rate * min(step / WARMUP, (STEPS - step) / (STEPS - WARMUP))
        moved -= rate * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    return moved


def kept(change: np.ndarray, saved: torch.dtype, computed: str, folder: Path) -> float:
    """The cosine of a change with the task vector that a merge takes of it."""
    base = torch.tensor(np.random.default_rng(1).standard_normal(SIZE) * 0.02).to(saved)
    tuned = (base.double() + torch.tensor(change)).to(saved)
    paths = [write_model(folder / name, {NAME: tensor}) for name, tensor in (("base", base), ("tuned", tuned))]
    recipe = METHODS["task_arithmetic"] | {"weights": 1.0, "dtype": computed, "out_dtype": "float32"}
    merge(recipe, [paths[1]], paths[0], folder / "merged")
    added = weights(folder / "merged")[NAME].double() - base.to(getattr(torch, computed)).double()
    return float(torch.cosine_similarity(added, torch.tensor(change), dim=0))


@pytest.mark.parametrize(
    ("learning_rate", "steady", "as_float16", "in_bfloat16", "as_bfloat16"),
    [(5e-7, 0.0, 0.91, 0.40, 0.43), (5e-7, 0.1, 0.99, 0.53, 0.62), (1e-6, 0.0, 0.98, 0.51, 0.60)],
)
def test_computing_in_float32_keeps_what_float16_parents_hold_of_a_preference_training(
    learning_rate: float, steady: float, as_float16: float, in_bfloat16: float, as_bfloat16: float, tmp_path: Path
) -> None:
    change = trained(learning_rate, steady)
    assert 5e-6 < np.sqrt((change**2).mean()) < 3e-5
    found = {
        (saved, computed): kept(change, getattr(torch, saved), computed, tmp_path / saved / computed)
        for saved in ("float16", "bfloat16")
        for computed in ("float32", "bfloat16")
    }
    assert found["float16", "float32"] == pytest.approx(as_float16, abs=0.02)
    assert found["float16", "bfloat16"] == pytest.approx(in_bfloat16, abs=0.04)
    assert found["bfloat16", "float32"] == pytest.approx(as_bfloat16, abs=0.04)
    assert found["bfloat16", "bfloat16"] <= found["bfloat16", "float32"] + 0.01


def test_a_merge_computes_in_float32_unless_it_is_told_otherwise(tmp_path: Path) -> None:
    change = trained(5e-7, 0.0)
    base = torch.tensor(np.random.default_rng(1).standard_normal(SIZE) * 0.02).half()
    models = {"base": base, "tuned": (base.double() + torch.tensor(change)).half()}
    paths = [write_model(tmp_path / name, {NAME: tensor}) for name, tensor in models.items()]
    merge(METHODS["task_arithmetic"] | {"weights": 1.0}, [paths[1]], paths[0], tmp_path / "merged")
    assert torch.equal(weights(tmp_path / "merged")[NAME], models["tuned"])
