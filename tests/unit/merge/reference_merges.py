"""Merge methods in float64 numpy, written from the papers and mergekit's documentation.

Imports nothing of mixmerge or mergekit, so that agreement with them means something.  One tensor at a time.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def linear(parents: list[Array], weights: list[float], normalize: bool) -> Array:
    """Weighted sum, or weighted mean (arXiv 2203.05482)."""
    total = np.sum([w * p for w, p in zip(weights, parents, strict=True)], axis=0)
    return np.asarray(total / sum(weights) if normalize else total)


def cosine(a: Array, b: Array) -> float:
    """Cosine of the angle between two tensors taken as vectors."""
    return float((a.ravel() @ b.ravel()) / (np.linalg.norm(a) * np.linalg.norm(b)))


def slerp(a: Array, b: Array, t: float, linear_above: float = 0.9995) -> Array:
    """Interpolation along the great circle (Shoemake 1985), linear where the vectors are nearly collinear."""
    dot = np.clip(cosine(a, b), -1, 1)
    if abs(dot) > linear_above:
        return (1 - t) * a + t * b
    angle = np.arccos(dot)
    return np.asarray((np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle))


def largest(delta: Array, density: float) -> Array:
    """Mask of the largest magnitudes: floor(density * size) of them, at least one; among equals, the first."""
    keep = delta.size if density >= 1 else max(1, int(density * delta.size))
    mask = np.zeros(delta.size)
    mask[np.argsort(-np.abs(delta).ravel(), kind="stable")[:keep]] = 1
    return mask.reshape(delta.shape)


def keep_l1(delta: Array, mask: Array) -> Array:
    """What the mask leaves, scaled to the L1 norm that there was before."""
    left = delta * mask
    return left * (np.abs(delta).sum() / np.abs(left).sum()) if np.abs(left).sum() > 1e-7 else left


def elect_and_sum(base: Array, deltas: list[Array], weights: list[float], normalize: bool, scale: float) -> Array:
    """TIES after trimming (arXiv 2306.01708): elect a sign by mass, then sum or average the deltas that agree."""
    stack = np.stack([w * d for w, d in zip(weights, deltas, strict=True)])
    elected = np.where(stack.sum(axis=0) >= 0, 1.0, -1.0)
    agree = np.sign(stack) == elected
    merged = (stack * agree).sum(axis=0)
    if normalize:
        divisor = (np.asarray(weights).reshape(-1, *[1] * base.ndim) * agree).sum(axis=0)
        merged = merged / np.where(divisor == 0, 1, divisor)
    return np.asarray(base + scale * merged)


def ties(
    base: Array,
    parents: list[Array],
    weights: list[float],
    densities: list[float],
    normalize: bool,
    rescale: bool,
    scale: float,
) -> Array:
    """Trim by magnitude, elect, merge."""
    deltas = [p - base for p in parents]
    masks = [largest(d, density) for d, density in zip(deltas, densities, strict=True)]
    return dare_ties(base, parents, masks, weights, normalize, rescale, scale)


def dare_ties(
    base: Array,
    parents: list[Array],
    masks: list[Array],
    weights: list[float],
    normalize: bool,
    rescale: bool,
    scale: float,
) -> Array:
    """Drop by given masks (arXiv 2311.03099, but rescaled to the L1 norm instead of by 1/density), elect, merge."""
    deltas = [p - base for p in parents]
    left = [keep_l1(d, m) if rescale else d * m for d, m in zip(deltas, masks, strict=True)]
    return elect_and_sum(base, left, weights, normalize, scale)
