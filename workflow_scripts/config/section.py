"""What all sections of an experiment file are made of."""

from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

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


INNER = ("schema", "fields", "items_schema", "values_schema", "choices")  # where a schema of pydantic's holds others


def _without_bools(schema: Any) -> Any:
    """A schema whose numbers, however deep, may not be true or false, which pydantic would take for 1 and 0."""
    if isinstance(schema, list):
        return [_without_bools(choice) for choice in schema]
    if not isinstance(schema, dict):
        return schema
    if "type" not in schema:  # fields by name, or the choices of a union by tag
        return {name: _without_bools(inner) for name, inner in schema.items()}
    if schema["type"] == "function-before" and schema["function"]["function"] is _no_bool:
        return schema  # done: pydantic keeps the schema of a section, and asks again where it is part of a type
    found = schema | {key: _without_bools(schema[key]) for key in INNER if key in schema}
    if found["type"] in ("int", "float"):
        return core_schema.no_info_before_validator_function(_no_bool, found)
    return found


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise PydanticCustomError("bool_for_number", "Input should be a number")
    return value


class Section(BaseModel):
    """A section of the file: unknown keys are errors, values do not change after they are read, yes is no number."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """That of pydantic, whose numbers take no bool."""
        schema = handler(source)
        own: Any = handler.resolve_ref_schema(schema)
        own.update(_without_bools(own))
        return schema
