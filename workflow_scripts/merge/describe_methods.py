"""Command: what mergekit says of its merge methods, or of those that a user's file registers, as a table in JSON.

`python -m workflow_scripts describe_methods > workflow_scripts/config/merge_methods.json` writes the table of all.
"""

import json
import os
from pathlib import Path
from typing import Any

from mergekit import merge_methods
from pydantic import TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic_core import to_jsonable_python

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError
from workflow_scripts.config.merge_methods import CALLED
from workflow_scripts.config.merging import Merging


def main(arguments: list[str]) -> None:
    """Print the table; or write that of one user's file, where it and a path are given."""
    if not arguments:
        print(text({method.spec.name: describe(method) for method in merge_methods.registered_methods()}))
        return
    own, output = map(Path, arguments)
    try:
        method = registered(own)
        _check_names(own, [one.name for one in method.spec.parameters])
        table = {own.stem: describe(method)}
    except PydanticUserError as error:  # raised by the type of a parameter
        raise UserError(f"{own}: {str(error).splitlines()[0]}; give the parameter a type that YAML can spell") from None
    partial = output.with_suffix(f".{os.getpid()}")
    partial.write_text(text(table), encoding="utf-8")
    partial.replace(output)


def text(table: dict[str, dict[str, Any]]) -> str:
    """The table as a file: a line for each method."""
    lines = (f" {json.dumps(name)}: {json.dumps(table[name])}" for name in sorted(table))
    return "{\n" + ",\n".join(lines) + "\n}"


def registered(own: Path) -> merge_methods.MergeMethod:
    """The method that a user's file registers under the file's name.

    Raises:
        UserError: the file cannot be run, or registers no method of its name.
    """
    before = {id(method) for method in merge_methods.registered_methods()}
    beside.module(own)
    new = [method for method in merge_methods.registered_methods() if id(method) not in before]
    for method in new:
        if method.spec.name == own.stem:
            return method
    names = ", ".join(method.spec.name for method in new) or "nothing"
    raise UserError(
        f"{own}: registers {names}, not {own.stem}; end it with `register(...)` of a method whose name is the file's"
    )


def _check_names(own: Path, parameters: list[str]) -> None:
    """Refuse parameters whose keys in the config mean something else; a `seed` is one of every user's method."""
    keys = [CALLED.get(name, name) for name in parameters]
    taken = {*Merging.model_fields, "base"}
    for name, key in zip(parameters, keys, strict=True):
        if key in taken:
            raise UserError(f"{own}: the key `{key}` is not free for its parameter `{name}`; give it another name")
        taken.add(key)


def describe(method: merge_methods.MergeMethod) -> dict[str, Any]:
    """A method's parameters and the models that it takes, from its public specification."""
    spec, contract = method.spec, method.spec.contract
    parameters = {
        one.name: {
            "scope": one.scope.value,
            "schema": TypeAdapter(one.value_type).json_schema(),
            **({} if one.required else {"default": to_jsonable_python(one.default)}),
        }
        for one in spec.parameters
    }
    counts = [contract.min_inputs, contract.max_inputs, contract.min_non_base, contract.max_non_base]
    return {
        "title": spec.pretty_name,
        "source": spec.reference_url,
        "base": contract.base.value,
        "inputs": counts,
        "parameters": parameters,
    }
