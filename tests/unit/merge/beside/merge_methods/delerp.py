"""As DeLERP does: through numpy, in float64, of the two models of which one is the base."""

from typing import Annotated

import numpy as np
import torch
from mergekit.merge_methods import BasePolicy, InputContract, PerInput, TensorGroup, merge_method, register
from pydantic import Field


@merge_method(name="delerp", contract=InputContract(base=BasePolicy.REQUIRED, min_inputs=2, max_inputs=2))
def delerp(group: TensorGroup, t: Annotated[float, Field(ge=0, le=1)], gain: PerInput[float] = 1.0) -> torch.Tensor:
    one, two = (entry.tensor.double().numpy() * gain[entry.id] for entry in group.entries)
    mixed = (1 - t) * one + t * two
    return torch.from_numpy(mixed / np.linalg.norm(mixed) * max(np.linalg.norm(one), np.linalg.norm(two)))


register(delerp)
