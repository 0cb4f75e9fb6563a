"""What a field of a section is for: a result, how work is executed, or which artifacts there are.

Recipes hold what decides a result and nothing else, so every field says in its declaration which it is, by one of three
functions that take pydantic's arguments for fields: `epochs: float = result(1.0, neutral=1.0, gt=0)`.  A required field
has it in its annotation, where type checkers see that there is no default: `batch_size: Annotated[int, result(ge=1)]`.

The neutral value is what the code did before the field existed.  At its neutral value a field stands in no recipe: so a
field can be added, and its default can be changed, without making finished work stale.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler
from pydantic.fields import FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from workflow_scripts.config.section import Section


@dataclass(frozen=True)
class Declared:
    """What a field is for; `...` is no neutral value."""

    decides: Literal["result", "execution", "structure"]
    neutral: Any = ...
    only: tuple[str, ...] = ()

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**handler(core_schema), "decides": self.decides}


def result(default: Any = ..., *, neutral: Any = ..., only: tuple[str, ...] = (), **field: Any) -> Any:
    """A field that decides a result.

    Args:
        default: what holds where the file says nothing; without it the field is required.
        neutral: what the code did before the field existed, as a literal; a required field has none.
        only: the methods that read the field; empty: all.
        field: arguments of pydantic's Field.
    """
    return _declare(Declared("result", neutral, only), default, field)


def execution(default: Any = ..., *, neutral: Any = ..., only: tuple[str, ...] = (), **field: Any) -> Any:
    """A field that decides only how work is executed, never what comes out; but see `counting` of `deciding`.

    Its arguments are those of `result`.
    """
    return _declare(Declared("execution", neutral, only), default, field)


def structure(default: Any = ..., **field: Any) -> Any:
    """A field that names other entries or says which artifacts there are; it reaches recipes by other ways."""
    return _declare(Declared("structure"), default, field)


def _declare(declared: Declared, default: Any, arguments: dict[str, Any]) -> FieldInfo:
    if declared.decides != "structure" and (default is ...) != (declared.neutral is ...):
        raise TypeError("a field with a default needs a neutral value, and a required field has none")
    field: FieldInfo = Field(default, **arguments)
    field.metadata.append(declared)
    return field


def declared(field: FieldInfo) -> Declared:
    """What a field is for."""
    (found,) = (mark for mark in field.metadata if isinstance(mark, Declared))
    return found


def deciding(section: Section, method: str | None = None, counting: Collection[str] = ()) -> dict[str, Any]:
    """What of a section decides a result, and of the sections in it: JSON-ready, without what is neutral.

    Args:
        section: of the experiment file.
        method: leave out the fields that only other methods read; None: all are read.
        counting: fields of execution that do decide a result here.
    """
    found = {}
    for name, field in type(section).model_fields.items():
        mark, value = declared(field), getattr(section, name)
        counts = mark.decides == "result" or (mark.decides == "execution" and name in counting)
        is_read = method is None or not mark.only or method in mark.only
        if counts and is_read and (value := _plain(value, method, counting)) != _plain(mark.neutral, method, counting):
            found[field.serialization_alias or name] = value
    return found


def _plain(value: Any, method: str | None, counting: Collection[str]) -> Any:
    if isinstance(value, Section):
        return deciding(value, method, counting)
    if isinstance(value, dict):
        return {key: _plain(item, method, counting) for key, item in value.items()}
    return [_plain(item, method, counting) for item in value] if isinstance(value, list | tuple) else value


def executing(section: Section, without: Collection[str] = ()) -> dict[str, Any]:
    """The values of a section's fields of execution, but for those in `without`: JSON-ready."""
    fields = type(section).model_fields.items()
    names = {name for name, field in fields if declared(field).decides == "execution" and name not in without}
    return section.model_dump(mode="json", by_alias=True, include=names)
