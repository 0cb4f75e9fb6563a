"""A recipe as the YAML of mergekit's own command, with which tests compare."""

from pathlib import Path
from typing import Any

from workflow_scripts.merge.methods import METHODS
from workflow_scripts.merge.settings import OUTSIDE_LAYERS


def build_config(recipe: dict[str, Any], parents: list[Path], base: Path | None) -> dict[str, Any]:
    """The dict that the YAML file holds; `recipe` has one value for each parent where each has its own."""
    method = METHODS[recipe["method"]]
    reference = parents[0] if method.first_parent_is_base else base

    def models():
        for index, parent in enumerate(parents):
            own = {one.name: value(recipe[key][index]) for key, one in method.parameters.items()
                   if one.per_parent and key in recipe}  # fmt: skip
            yield {"model": {"model": {"path": str(parent)}}, "parameters": own}

    shared = {one.name: value(recipe[key]) for key, one in method.parameters.items()
              if not one.per_parent and key in recipe}  # fmt: skip
    return {
        "merge_method": recipe["method"],
        "dtype": recipe.get("dtype", "float32"),
        **({"out_dtype": recipe["out_dtype"]} if recipe.get("out_dtype") else {}),
        **({"base_model": {"model": {"path": str(reference)}}} if reference else {}),
        "models": [*models()],
        "parameters": shared,
    }


def value(given: Any) -> Any:
    """A value as mergekit spells it: a number, or conditions of which the first to match a tensor's name holds."""
    if not isinstance(given, dict):
        return given
    outside = [{"filter": part, "value": given[place]} for place, parts in OUTSIDE_LAYERS.items() for part in parts]
    return [*outside, {"value": given["layers"]}]
