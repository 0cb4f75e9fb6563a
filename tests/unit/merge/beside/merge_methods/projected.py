"""As NUFILT does: constraints in types, a seed of its own, a generator for each tensor, an optimiser within."""

import hashlib
from typing import Annotated, Any

import torch
from mergekit.merge_methods import BasePolicy, GroupMergeMethod, InputContract, MergeMethodSpec, TensorGroup, register
from mergekit.merge_methods.base import ParameterScope, ParameterSpec
from pydantic import Field, PositiveFloat


class Projected(GroupMergeMethod):
    @property
    def spec(self) -> MergeMethodSpec:
        shared = ParameterScope.SHARED
        return MergeMethodSpec(
            name="projected",
            parameters=(
                ParameterSpec("rank", Annotated[int, Field(ge=1)], shared, default=4),
                ParameterSpec("lr", PositiveFloat, shared, default=0.1),
                ParameterSpec("seed", Annotated[int, Field(ge=0)], shared, default=42),
                ParameterSpec("modules", str, shared, default="self_attn,mlp"),
                ParameterSpec("top", Annotated[float, Field(gt=0)] | None, ParameterScope.NON_BASE, default=None),
            ),
            contract=InputContract(base=BasePolicy.REQUIRED, min_non_base=1),
        )

    def merge_group(self, group: TensorGroup, /, **p: Any) -> torch.Tensor:
        base, name = group.base.tensor, group.metadata.name
        if base.ndim != 2 or not any(part in name for part in p["modules"].split(",")):
            return base
        seed = int.from_bytes(hashlib.sha256(f"{p['seed']} {name}".encode()).digest()[:6], "big")
        start = torch.randn(base.shape[1], p["rank"], generator=torch.Generator().manual_seed(seed))
        deltas = [entry.tensor - base for entry in group.non_base]
        with torch.enable_grad():
            basis = start.requires_grad_()
            optimizer = torch.optim.Adam([basis], lr=p["lr"])
            for _ in range(3):
                loss = sum((delta - delta @ basis @ basis.T).square().sum() for delta in deltas)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
        return base + sum(deltas) @ basis @ basis.T  # still has its gradient


register(Projected())
