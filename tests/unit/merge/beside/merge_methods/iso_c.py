"""Iso-C (arXiv 2502.04959) as a class that makes two methods, of which the file is named after one."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from mergekit.merge_methods import BasePolicy, GroupMergeMethod, InputContract, MergeMethodSpec, TensorGroup, register
from mergekit.merge_methods.base import ParameterScope, ParameterSpec


@dataclass(frozen=True)
class Spectral(GroupMergeMethod):
    name: str

    @cached_property
    def spec(self) -> MergeMethodSpec:
        return MergeMethodSpec(
            name=self.name,
            pretty_name="Iso-C",
            parameters=(
                ParameterSpec("lambda", float, ParameterScope.SHARED, default=1.0),
                ParameterSpec("vectors", Literal["mean", "sum"], ParameterScope.SHARED, default="sum"),
                ParameterSpec("only", Literal["all"], ParameterScope.SHARED, default="all"),
            ),
            contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=2, max_non_base=3),
        )

    def merge_group(self, group: TensorGroup, /, **parameters: Any) -> torch.Tensor:
        base = group.base.tensor
        delta = sum(entry.tensor - base for entry in group.non_base)
        delta = delta / len(group.non_base) if parameters["vectors"] == "mean" else delta
        if base.ndim == 2 and self.name == "iso_c":
            left, values, right = torch.linalg.svd(delta, full_matrices=False)
            delta = values.mean() * left @ right
        return base + parameters["lambda"] * delta


for method in ("sum_only", "iso_c"):
    register(Spectral(method))
