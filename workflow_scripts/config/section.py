"""What all sections of an experiment file are made of."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

T = TypeVar("T")


def _distinct(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"has {value} twice; keep one")
    return values


Distinct = Annotated[list[T], Field(min_length=1, json_schema_extra={"uniqueItems": True}), AfterValidator(_distinct)]
NAME = r"[A-Za-z0-9][A-Za-z0-9._+-]*"
Name = Annotated[str, Field(pattern=f"^{NAME}$")]
Names = Distinct[Name]
Seed = Annotated[int, Field(ge=0, le=1_000_000)]  # the seed of a chain times 1000, plus this, is a seed of 32 bits
Fraction = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A section of the file: unknown keys are errors, values do not change after they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
