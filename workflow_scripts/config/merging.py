"""Settings of a merge: a type per method."""

from typing import Annotated, Literal

from pydantic import Field

from workflow_scripts.config.section import Name, Section, Seed


class Gradient(Section):
    """A parameter that changes over the depth of the model: interpolated between the values of `layers`."""

    layers: list[float] = Field(min_length=1)
    embeddings: float = Field(description="outside the layers a plain gradient would give its first value")
    final_norm: float


Parameter = float | Gradient
PerParent = Parameter | list[Parameter]


class MergeMethod(Section):
    """What a method needs besides its parameters stands in `merge_methods.METHODS`."""

    method: str


class Linear(MergeMethod):
    """Weighted average of the parents (arXiv 2203.05482)."""

    method: Literal["linear"]
    weights: PerParent = Field(description="one for all parents, or one for each")
    normalize: bool = Field(True, description="divide by the sum of the weights")
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class Slerp(MergeMethod):
    """Spherical interpolation of two parents."""

    method: Literal["slerp"]
    t: Parameter = Field(description="0 is the first parent, 1 the second")
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class Ties(MergeMethod):
    """Trim, elect sign, merge (arXiv 2306.01708)."""

    method: Literal["ties"]
    base: Name | None = Field(None, description="the model from which task vectors are measured")
    weights: PerParent
    density: PerParent = Field(description="share of each task vector that is kept")
    normalize: bool = True
    rescale: bool = False
    lambda_: float = Field(1.0, alias="lambda", description="scale of the merged task vector")
    int8_mask: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class DareTies(MergeMethod):
    """Random drop and rescale, then elect sign and merge (arXiv 2311.03099)."""

    method: Literal["dare_ties"]
    base: Name | None = Field(None, description="the model from which task vectors are measured")
    weights: PerParent
    density: PerParent = Field(description="share of each task vector that is kept")
    seed: Seed = Field(description="of the random drop")
    normalize: bool = False
    rescale: bool = True
    lambda_: float = Field(1.0, alias="lambda", description="scale of the merged task vector")
    int8_mask: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


Merging = Annotated[Linear | Slerp | Ties | DareTies, Field(discriminator="method")]
