"""Settings of a merge: a type per method, made from what the method takes."""

import math
import operator
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Annotated, Any, Literal, Union

from pydantic import AfterValidator, ConfigDict, Field, GetJsonSchemaHandler, create_model
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

from workflow_scripts.config.fields import result, structure
from workflow_scripts.config.merge_methods import BUILT_IN, DRAW, MAY_DRAW, MISSING, Method, Parameter
from workflow_scripts.config.section import Name, Section

Seed = Annotated[int, Field(ge=0)]
DataType = Literal["float32", "bfloat16", "float16"]


class Gradient(Section):
    """A parameter that changes over the depth of the model: interpolated between the values of `layers`."""

    layers: Annotated[list[float], result(min_length=1)]
    embeddings: Annotated[float, result(description="outside the layers a plain gradient would give its first value")]
    final_norm: Annotated[float, result()]


class Merging(Section):
    """Settings of a merge that every method has."""

    method: Annotated[str, result()]
    dtype: DataType = result("float32", neutral="float32", description="the data type of the arithmetic")
    out_dtype: DataType | None = result(
        None, neutral=None, description="the data type that is written; default: the parents'"
    )
    tokenizer_from: Name | None = structure(
        None, description="the parent or base whose tokenizer and chat are kept, where they differ; default: the first"
    )


class MergingRow(Section):
    """An entry of `merging` as written: a method and what it takes; `experiment` looks the method up."""

    model_config = ConfigDict(extra="allow", frozen=True)

    method: Annotated[Name, structure(description="one of mergekit's, or a file of `merge_methods/` beside the config")]

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        known = {name: section(method).__pydantic_core_schema__ for name, method in BUILT_IN.items()}
        own = {**handler(core), "properties": {"method": {"not": {"enum": sorted(known)}}}}
        return {"anyOf": [handler(core_schema.tagged_union_schema(known, "method")), own]}


@cache
def section(method: Method) -> type[Merging]:
    """The type of a method's settings; a parameter at mergekit's default stands in no recipe."""
    fields: dict[str, Any] = {"method": (Literal[method.name], result())}
    if method.takes_base:
        about = "the model from which task vectors are measured"
        fields["base"] = (Name | None, structure(None, description=about))
    if method.name in DRAW:
        fields["seed"] = (Seed, result(description="of the random numbers that it draws"))
    elif method.name in MAY_DRAW or method.own:
        fields["seed"] = (Seed | None, result(None, neutral=None, description="of random numbers, where it draws any"))
    for key, parameter in method.parameters.items():
        default = () if parameter.default is MISSING else (parameter.default,)
        neutral = {} if parameter.default is MISSING else {"neutral": parameter.default}
        fields[key] = (_type(parameter), result(*default, **neutral))
    made: type[Merging] = create_model(f"Merging by {method.name}", __base__=Merging, __doc__=method.title, **fields)
    return made


def _type(parameter: Parameter) -> Any:
    """The type of a parameter in the config: one value for all models, or one for each where each has its own."""
    value = _value(parameter.schema)
    if parameter.is_number:
        value = Union[value, Gradient]  # noqa: UP007 (made as the program runs)
    if parameter.scope != "shared":
        several = Annotated[list[value], Field(min_length=1)]  # type: ignore[valid-type]
        value = Union[value, several]  # noqa: UP007
    return Annotated[value, AfterValidator(partial(_within, parameter.numbers))]


def _value(schema: Mapping[str, Any]) -> Any:
    """The type of one value; what JSON's types do not tell, mergekit checks when it merges."""
    if "anyOf" in schema:
        return Union[tuple(map(_value, schema["anyOf"]))]  # noqa: UP007
    if "enum" in schema or "const" in schema:
        return Literal[tuple(schema.get("enum", [schema.get("const")]))]
    if schema.get("type") == "array":
        return list[_value(schema.get("items", {}))]  # type: ignore[misc]
    types: dict[str, Any] = {"number": float, "integer": int, "boolean": bool, "string": str, "null": None}
    return types.get(schema.get("type", ""), Any)


BOUNDS: dict[str, tuple[str, Callable[[float, float], bool]]] = {
    "minimum": ("at least", operator.ge),
    "exclusiveMinimum": ("above", operator.gt),
    "maximum": ("at most", operator.le),
    "exclusiveMaximum": ("below", operator.lt),
}


def _within(schema: Mapping[str, Any], given: Any) -> Any:
    """Check the numbers in a value against the bounds of a schema."""
    bounds = {key: schema[key] for key in BOUNDS if key in schema}
    for number in numbers(given):
        if not math.isfinite(number) or not all(BOUNDS[key][1](number, bound) for key, bound in bounds.items()):
            must = " and ".join(f"{BOUNDS[key][0]} {bound}" for key, bound in bounds.items()) or "finite"
            raise ValueError(f"must be {must}, not {number:g}")
    return given


def numbers(value: Any) -> list[float]:
    """The numbers in a value of a parameter: itself, those of a gradient, those of all parents."""
    if isinstance(value, Gradient):
        return [*value.layers, value.embeddings, value.final_norm]
    if isinstance(value, list):
        return [number for one in value for number in numbers(one)]
    return [value] if isinstance(value, int | float) and not isinstance(value, bool) else []
