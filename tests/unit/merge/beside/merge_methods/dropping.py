"""Draws from torch's generator, from Python's or from numpy's; the base has a weight as every other model has."""

import random
from enum import Enum

import numpy as np
import torch
from mergekit.merge_methods import BasePolicy, InputContract, PerInput, TensorGroup, merge_method, register


class Source(Enum):
    torch = "torch"
    python = "python"
    numpy = "numpy"
    none = "none"


@merge_method(name="dropping", contract=InputContract(base=BasePolicy.OPTIONAL))
def dropping(group: TensorGroup, weight: PerInput[float], source: Source = Source.torch) -> torch.Tensor:
    shape = group.entries[0].tensor.shape
    drawn = {
        Source.torch: lambda: torch.rand(shape),
        Source.python: lambda: torch.tensor([random.random() for _ in range(shape.numel())]).reshape(shape),
        Source.numpy: lambda: torch.from_numpy(np.random.random(shape)),
        Source.none: lambda: torch.ones(shape),
    }[source]()
    return drawn * sum(entry.tensor * weight[entry.id] for entry in group.entries)


register(dropping)
