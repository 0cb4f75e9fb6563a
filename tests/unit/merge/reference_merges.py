"""Merge methods in float64 numpy, written from the papers, one tensor at a time.

Imports nothing of mixmerge or mergekit, so that agreement with them means something.  Where mergekit departs from a
paper, the docstring says so if the reference departs with it; what the reference does as the paper has it, and mergekit
does not, is in `test_departures_from_papers.py`.  `base` is None where a method takes none.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def linear(parents: list[Array], weights: list[float], normalize: bool) -> Array:
    """Weighted sum, or weighted mean (Wortsman et al., Model soups, arXiv 2203.05482)."""
    total = np.sum([w * p for w, p in zip(weights, parents, strict=True)], axis=0)
    return np.asarray(total / sum(weights) if normalize else total)


def passthrough(parent: Array, scale: float | None) -> Array:
    """The one parent, times a number."""
    return parent if scale is None else scale * parent


def cosine(a: Array, b: Array, axis: int | None = None) -> Array:
    """Cosine of the angle between two tensors taken as vectors, or between their parts along an axis."""
    norms = [np.sqrt((x * x).sum(axis=axis, keepdims=True)) for x in (a, b)]
    return np.asarray((a * b).sum(axis=axis, keepdims=True) / (norms[0] * norms[1]))


def turned(a: Array, b: Array, t: float, axis: int | None = None, linear_above: float = 1.0) -> Array:
    """Interpolation along the great circle (Shoemake 1985), linear where the vectors are nearly collinear."""
    dot = np.clip(cosine(a, b, axis), -1, 1)
    is_linear = (np.abs(dot) > linear_above) | (np.abs(dot) == 1)
    angle = np.arccos(np.where(is_linear, 0, dot))
    on_circle = (np.sin((1 - t) * angle) * a + np.sin(t * angle) * b) / np.sin(angle)
    return np.asarray(np.where(is_linear, (1 - t) * a + t * b, on_circle))


def slerp(a: Array, b: Array, t: float) -> Array:
    """Shoemake, Animating rotation with quaternion curves, SIGGRAPH 1985; the vectors keep their lengths."""
    return turned(a, b, t, linear_above=0.9995)


def nuslerp(parents: list[Array], weights: list[float], base: Array | None, axis: int | None) -> Array:
    """SLERP of two models or, with a base, of their task vectors; as whole tensors or part by part along an axis."""
    start = np.zeros_like(parents[0]) if base is None else base
    one, two = (parent - start for parent in parents)
    return start + turned(one, two, weights[1] / sum(weights), axis)


def multislerp(parents: list[Array], weights: list[float], base: Array | None, normalize: bool) -> Array:
    """The weighted mean of the directions, made as long as the weighted mean of the lengths.

    goddard.blog/posts/multislerp-wow-what-a-cool-idea: from the normalised mean of the directions, a step along the
    mean of their projections onto its tangent space.  That mean is zero whatever the weights: the sum of
    w_i (u_i - (u_i m) m) is M - (M m) m, where M is the sum that m points along.
    """
    start = np.zeros_like(parents[0]) if base is None else base
    if normalize:
        weights = [weight / sum(weights) for weight in weights]
    moved = [parent - start for parent in parents]
    lengths = [np.linalg.norm(one) for one in moved]
    mean = np.sum([w * one / size for w, one, size in zip(weights, moved, lengths, strict=True)], axis=0)
    return np.asarray(start + mean / np.linalg.norm(mean) * np.dot(weights, lengths))


def karcher(parents: list[Array]) -> Array:
    """The point of the sphere with the least sum of squared angles to all directions, times the mean of the lengths.

    Karcher 1977; found by fixed-point iteration until nothing changes (mergekit stops after `max_iter` steps or `tol`).
    """
    lengths = [np.linalg.norm(parent) for parent in parents]
    units = [parent / size for parent, size in zip(parents, lengths, strict=True)]
    mean = np.sum(units, axis=0)
    for _ in range(200):
        mean /= np.linalg.norm(mean)
        angles = [np.arccos(np.clip((mean * unit).sum(), -1, 1)) for unit in units]
        steps = [a / np.sin(a) * (u - np.cos(a) * mean) if a else 0 * u for a, u in zip(angles, units, strict=True)]
        step = np.mean(steps, axis=0)
        size = np.linalg.norm(step)
        mean = np.cos(size) * mean + (np.sin(size) / size if size else 1) * step
    return np.asarray(np.mean(lengths) * mean)


def nearswap(a: Array, b: Array, t: float) -> Array:
    """Each weight of the first moves to the second's, by `t` at the most (alchemonaut/QuartetAnemoi-70B-t0.0001)."""
    return np.asarray(a + np.clip(b - a, -t, t))


def arcee_fusion(a: Array, b: Array) -> Array:
    """The second's weights where they matter most, the first's elsewhere (Arcee; known from mergekit's code alone).

    Importance is |difference| times the divergence between the rows' softmaxes; what is above the third quartile's
    fence, median + 1.5 times the quartiles' distance, is taken.
    """

    def softmax(x: Array) -> Array:
        grown = np.exp(x - x.max(axis=-1, keepdims=True))
        return np.asarray(grown / grown.sum(axis=-1, keepdims=True) + 1e-8)

    p, q = softmax(b), softmax(a)
    importance = np.abs(b - a) * (p * np.log(p / q)).sum(axis=-1, keepdims=True)
    low, median, high = np.quantile(importance, [0.25, 0.5, 0.75], method="lower")
    return np.where(importance >= median + 1.5 * (high - low), b, a)


def model_stock(base: Array, parents: list[Array], by_row: bool) -> Array:
    """The mean of the parents, drawn towards the base by the angle between them (Jang et al., arXiv 2403.19522).

    t = k cos / (1 + (k - 1) cos), for k parents and the mean cosine of their task vectors' pairs.
    """
    count, axis = len(parents), -1 if by_row else None
    deltas = [parent - base for parent in parents]
    pairs = [cosine(deltas[i], deltas[j], axis) for i in range(count) for j in range(i + 1, count)]
    mean = np.mean(pairs, axis=0)
    t = count * mean / (1 + (count - 1) * mean)
    return np.asarray(t * np.mean(parents, axis=0) + (1 - t) * base)


def ranked(values: Array, first: int, count: int) -> Array:
    """Mask of `count` values, the least of which has the rank `first`; among equals, the first are the largest."""
    mask = np.zeros(values.size)
    mask[np.argsort(values.ravel()[::-1], kind="stable")[first : first + count]] = 1
    return mask[::-1].reshape(values.shape)


def largest(delta: Array, density: float) -> Array:
    """Mask of the largest magnitudes: floor(density * size) of them, at least one; among equals, the first."""
    keep = delta.size if density >= 1 else max(1, int(density * delta.size))
    return ranked(np.abs(delta), delta.size - keep, keep)


def without_outliers(delta: Array, density: float, gamma: float) -> Array:
    """Mask of magnitudes in the middle: `density` of them, above which at most `gamma` are left out.

    Davari & Belilovsky, Model Breadcrumbs, arXiv 2312.06795; in the authors' code each row has its own mask.
    """
    if density >= 1:
        return np.ones_like(delta)
    kept, outliers = int(density * delta.size), int(gamma * delta.size)
    return ranked(np.abs(delta), max(0, delta.size - kept - outliers), kept)


def della_probabilities(delta: Array, density: float, epsilon: float) -> Array:
    """Probability with which DELLA keeps each entry: by the rank of its magnitude in its row (arXiv 2406.11617)."""
    rows = np.atleast_2d(np.abs(delta))
    ranks = np.argsort(np.argsort(rows, axis=1), axis=1)
    return np.asarray((density - epsilon + 2 * epsilon * ranks / (rows.shape[1] - 1)).reshape(delta.shape))


def keep_l1(delta: Array, mask: Array) -> Array:
    """What the mask leaves, scaled to the L1 norm that there was before."""
    left = delta * mask
    return left * (np.abs(delta).sum() / np.abs(left).sum()) if np.abs(left).sum() > 1e-7 else left


def from_task_vectors(
    base: Array,
    parents: list[Array],
    masks: list[Array],
    weights: list[float],
    normalize: bool,
    rescale: bool,
    scale: float,
    elect: bool,
) -> Array:
    """What task arithmetic, TIES, DARE, DELLA and Breadcrumbs share: sparse task vectors, weighed, added to the base.

    Ilharco et al., arXiv 2212.04089; with `elect` as in TIES (arXiv 2306.01708): of each entry only what has the sign
    of the sum, + if that is 0.  `rescale` keeps the L1 norm, where DARE divides by the density and DELLA by each
    entry's probability.
    """
    deltas = [parent - base for parent in parents]
    left = [keep_l1(d, m) if rescale else d * m for d, m in zip(deltas, masks, strict=True)]
    stack = np.stack([w * d for w, d in zip(weights, left, strict=True)])
    counted = np.ones_like(stack)
    if elect:
        counted = (np.sign(stack) == np.where(stack.sum(axis=0) >= 0, 1.0, -1.0)).astype(float)
    merged = (stack * counted).sum(axis=0)
    if normalize:
        divisor = (np.asarray(weights).reshape(-1, *[1] * base.ndim) * counted).sum(axis=0)
        merged = merged / np.where(divisor == 0, 1, divisor)
    return np.asarray(base + scale * merged)


def sce(base: Array, parents: list[Array], top: float) -> Array:
    """Select, calculate, erase (Wan et al., FuseChat, arXiv 2408.07990).

    Select the `top` share of the entries by their variance over the parents; weigh each parent by its mean square
    there; erase what has not the sign of the sum, and divide by the weights that are left.
    """
    deltas = np.stack([parent - base for parent in parents])
    if top < 1:
        variance = deltas.var(axis=0)
        keep = int(np.count_nonzero(variance) * top)
        deltas = deltas * ranked(variance, variance.size - keep, keep)
    squares = (deltas**2).reshape(len(parents), -1).mean(axis=1)
    left = (squares / squares.sum()).reshape(-1, *[1] * base.ndim) * (
        np.sign(deltas) == np.where(deltas.sum(axis=0) >= 0, 1.0, -1.0)
    )
    divisor = left.sum(axis=0)
    return np.asarray(base + (deltas * left).sum(axis=0) / np.where(divisor == 0, 1, divisor))


def ram(base: Array, parents: list[Array], epsilon: float, r: float = 0.0, alpha: float = 0.0) -> Array:
    """Reinforced agent merging (Yuan et al., arXiv 2601.13572): the mean over the parents that changed an entry.

    An entry is changed by more than `epsilon`.  With `r`, RAM+: what one parent alone changed is scaled by
    1 + r min(shared / alone, alpha), of that parent's counts; the paper counts over the model, mergekit in each tensor.
    """
    deltas = np.stack([parent - base for parent in parents])
    changed = np.abs(deltas) > epsilon
    count = changed.sum(axis=0)
    shared, alone = ((changed & which).reshape(len(parents), -1).sum(axis=1) for which in (count > 1, count == 1))
    factors = 1 + r * np.minimum(shared / np.maximum(alone, epsilon), alpha)
    scaled = np.where(count == 1, factors.reshape(-1, *[1] * base.ndim) * deltas, deltas)
    return np.asarray(base + (scaled * changed).sum(axis=0) / np.maximum(count, 1))
