"""A batch kernel, as mergekit's documentation of methods of one's own begins."""

from typing import Annotated

import torch
from mergekit.merge_methods import BatchParameter, ParameterScope, TensorBatch, merge_method, register
from pydantic import Field

print("weighted_average is here")  # as files do that were tried by hand


@merge_method(name="weighted_average", pretty_name="Weighted Average", reference_url="https://example.com/average")
def weighted_average(
    batch: TensorBatch,
    weight: Annotated[torch.Tensor, BatchParameter(Annotated[float, Field(ge=0, le=2)], ParameterScope.INPUT)],
    normalize: bool = True,
) -> torch.Tensor:
    shape = (batch.tensors[0].shape[0],) + (1,) * (batch.tensors[0].ndim - 1)
    parts = [tensor * one.reshape(shape) for tensor, one in zip(batch.tensors, weight.unbind(1), strict=True)]
    return sum(parts) / (weight.sum(1).reshape(shape) if normalize else 1)


register(weighted_average)
