"""Command: what mergekit says of its merge methods, or of those that a user's file registers, as a table in JSON.

`python -m workflow_scripts describe_methods > workflow_scripts/config/merge_methods.json` writes the table of all.
"""

import json
import os
from pathlib import Path
from typing import Any

from mergekit import merge_methods
from pydantic import TypeAdapter

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError


def main(arguments: list[str]) -> None:
    """Print the table; or write that of one user's file, where it and a path are given."""
    if not arguments:
        print(text({method.spec.name: describe(method) for method in merge_methods.registered_methods()}))
        return
    own, output = map(Path, arguments)
    table = {own.stem: describe(registered(own))}
    partial = output.with_suffix(f".{os.getpid()}")
    partial.write_text(text(table), encoding="utf-8")
    partial.replace(output)


def text(table: dict[str, dict[str, Any]]) -> str:
    """The table as a file: a line for each method."""
    lines = (f" {json.dumps(name)}: {json.dumps(table[name], default=str)}" for name in sorted(table))
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


def describe(method: merge_methods.MergeMethod) -> dict[str, Any]:
    """A method's parameters and the models that it takes, from its public specification."""
    spec, contract = method.spec, method.spec.contract
    parameters = {
        one.name: {
            "scope": one.scope.value,
            "schema": TypeAdapter(one.value_type).json_schema(),
            **({} if one.required else {"default": one.default}),
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
