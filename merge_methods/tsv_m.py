"""TSV-M: merge the strongest singular directions of every task vector, made orthogonal (arXiv 2412.00081, algorithm 1).

A merge method of one's own, registered in mergekit's way, in a file by its name in this folder beside the config.
"""

from typing import Annotated

import torch
from mergekit.merge_methods import BasePolicy, InputContract, TensorGroup, merge_method, register
from pydantic import Field


@merge_method(
    name="tsv_m",
    pretty_name="TSV-M",
    reference_url="https://arxiv.org/abs/2412.00081",
    contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=1),
)
def tsv_m(group: TensorGroup, scale: Annotated[float, Field(ge=0)] = 1.0) -> torch.Tensor:
    """The base plus the merged task vector, `scale` times (alpha in the paper).

    Matrices are merged by their singular vectors; of other tensors (norms, biases) the task vectors' mean is taken, as
    the authors' code does.
    """
    base = group.base.tensor
    deltas = [entry.tensor - base for entry in group.non_base]
    if base.ndim != 2:
        return base + scale * torch.stack(deltas).mean(dim=0)
    rank = max(1, min(base.shape) // len(deltas))  # together they have at most the rank of one
    parts = [torch.linalg.svd(delta, full_matrices=False) for delta in deltas]
    left = _orthogonal(torch.cat([part.U[:, :rank] for part in parts], dim=1))
    strengths = torch.cat([part.S[:rank] for part in parts])
    right = _orthogonal(torch.cat([part.Vh[:rank] for part in parts]))
    return base + scale * (left * strengths) @ right


def _orthogonal(vectors: torch.Tensor) -> torch.Tensor:
    """The nearest matrix with orthonormal rows or columns (the orthogonal Procrustes problem)."""
    parts = torch.linalg.svd(vectors, full_matrices=False)
    return parts.U @ parts.Vh


register(tsv_m)
