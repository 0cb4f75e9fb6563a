"""A merge as the YAML of mergekit's own command, with which tests compare."""

from pathlib import Path
from typing import Any

from workflow_scripts.merge.methods import METHODS
from workflow_scripts.merge.settings import OUTSIDE_LAYERS


def build_config(recipe: dict[str, Any], parents: list[Path], base: Path | None, out_dtype: str) -> dict[str, Any]:
    """What the YAML file holds.

    Args:
        recipe: as a job has it, every parameter stated.
        parents: in their order.
        base: the model that is named besides them.
        out_dtype: the data type of the parents; mergekit's command would write the type that it computes in.
    """
    method = METHODS[recipe["method"]]
    reference = parents[0] if method.first_parent_is_base else base
    stated = {key: one for key, one in method.parameters.items() if recipe[key] is not None}

    def of_parent(index: int) -> dict[str, Any]:
        return {one.name: value(recipe[key][index]) for key, one in stated.items() if one.scope != "shared"}

    return {
        "merge_method": recipe["method"],
        "dtype": recipe["dtype"],
        "out_dtype": recipe["out_dtype"] or out_dtype,
        **({"base_model": {"model": {"path": str(reference)}}} if reference else {}),
        "models": [
            {"model": {"model": {"path": str(parent)}}, "parameters": {k: v for k, v in own.items() if v is not None}}
            for parent, own in zip(parents, map(of_parent, range(len(parents))), strict=True)
        ],
        "parameters": {one.name: value(recipe[key]) for key, one in stated.items() if one.scope == "shared"},
    }


def value(given: Any) -> Any:
    """A value as mergekit spells it: a number, or conditions of which the first to match a tensor's name holds."""
    if not isinstance(given, dict):
        return given
    outside = [{"filter": part, "value": given[place]} for place, parts in OUTSIDE_LAYERS.items() for part in parts]
    return [*outside, {"value": given["layers"]}]
