"""Settings of a merge: a type per method."""

from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.config.fields import result, structure
from workflow_scripts.config.section import Name, Section, Seed


class Gradient(Section):
    """A parameter that changes over the depth of the model: interpolated between the values of `layers`."""

    layers: Annotated[list[float], result(min_length=1)]
    embeddings: Annotated[float, result(description="outside the layers a plain gradient would give its first value")]
    final_norm: Annotated[float, result()]


Parameter = float | Gradient
PerParent = Parameter | list[Parameter]


class MergeMethod(Section):
    """What a method needs besides its parameters stands in `merge.methods`."""

    method: Annotated[str, result()]


class Linear(MergeMethod):
    """Weighted average of the parents (arXiv 2203.05482)."""

    method: Annotated[Literal["linear"], result()]
    weights: Annotated[PerParent, result(description="one for all parents, or one for each")]
    normalize: bool = result(True, neutral=True, description="divide by the sum of the weights")
    dtype: Literal["float32", "bfloat16", "float16"] = result("bfloat16", neutral="bfloat16")


class Slerp(MergeMethod):
    """Spherical interpolation of two parents."""

    method: Annotated[Literal["slerp"], result()]
    t: Annotated[Parameter, result(description="0 is the first parent, 1 the second")]
    dtype: Literal["float32", "bfloat16", "float16"] = result("bfloat16", neutral="bfloat16")


class Ties(MergeMethod):
    """Trim, elect sign, merge (arXiv 2306.01708)."""

    method: Annotated[Literal["ties"], result()]
    base: Name | None = structure(None, description="the model from which task vectors are measured")
    weights: Annotated[PerParent, result()]
    density: Annotated[PerParent, result(description="share of each task vector that is kept")]
    normalize: bool = result(True, neutral=True)
    rescale: bool = result(False, neutral=False)
    lambda_: float = result(1.0, neutral=1.0, alias="lambda", description="scale of the merged task vector")
    int8_mask: bool = result(False, neutral=False)
    dtype: Literal["float32", "bfloat16", "float16"] = result("bfloat16", neutral="bfloat16")


class DareTies(MergeMethod):
    """Random drop and rescale, then elect sign and merge (arXiv 2311.03099)."""

    method: Annotated[Literal["dare_ties"], result()]
    base: Name | None = structure(None, description="the model from which task vectors are measured")
    weights: Annotated[PerParent, result()]
    density: Annotated[PerParent, result(description="share of each task vector that is kept")]
    seed: Annotated[Seed, result(description="of the random drop")]
    normalize: bool = result(False, neutral=False)
    rescale: bool = result(True, neutral=True)
    lambda_: float = result(1.0, neutral=1.0, alias="lambda", description="scale of the merged task vector")
    int8_mask: bool = result(False, neutral=False)
    dtype: Literal["float32", "bfloat16", "float16"] = result("bfloat16", neutral="bfloat16")


Merging = Annotated[Linear | Slerp | Ties | DareTies, Field(discriminator="method")]
