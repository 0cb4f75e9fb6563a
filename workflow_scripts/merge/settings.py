"""The settings of a merge: checked by its method, and spelled as mergekit's configuration.

Neither torch nor mergekit is imported, so that a config can be checked when the Snakefile is parsed.
"""

from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.merge.methods import METHODS
from workflow_scripts.merge.methods._base import PARAMETERS, Method, Parameter, is_finite

DTYPES = ("float32", "bfloat16", "float16")

# Tensors outside the layers, by parts of their names: mergekit would give them the first value of a gradient.
OUTSIDE_LAYERS = {"embeddings": ("embed_tokens", "lm_head"), "final_norm": ("model.norm.",)}


def check(recipe: dict[str, Any], parents: int, base: bool) -> Method:
    """Check the settings of a merge against its method's row.

    Args:
        recipe: `method`, `dtype`, the method's parameters, `seed` if it draws; other keys are not looked at.
        parents: how many there are.
        base: whether there is one.

    Returns:
        The method's row.

    Raises:
        UserError: a setting is missing, out of range or of another method, or the models are too few or many.
    """
    name: Any = recipe.get("method")
    if name not in METHODS:
        raise UserError(f"merge method {name!r} is not known; choose one of {', '.join(METHODS)}")
    method = METHODS[name]
    taken = {*method.parameters, *(["seed"] if method.draws else [])}
    if missing := sorted({"dtype", *taken} - recipe.keys()):
        raise UserError(f"merge by {name}: `{missing[0]}` is missing; state every parameter")
    if foreign := sorted(({*PARAMETERS, "seed"} - taken) & recipe.keys()):
        raise UserError(f"merge by {name}: takes no `{foreign[0]}`; it takes {', '.join(sorted(taken))}")
    if recipe["dtype"] not in DTYPES:
        raise UserError(f"merge by {name}: `dtype` is {recipe['dtype']!r}; choose one of {', '.join(DTYPES)}")
    if method.draws and (not isinstance(recipe["seed"], int) or isinstance(recipe["seed"], bool)):
        raise UserError(f"merge by {name}: `seed` is {recipe['seed']!r}; give a whole number")
    least, most = method.parents
    if parents < least or (most is not None and parents > most):
        count = f"exactly {least}" if least == most else f"at least {least}"
        raise UserError(f"merge by {name}: takes {count} parents, not {parents}; change `parents`")
    if base != method.base:
        raise UserError(f"merge by {name}: {'needs a base model' if method.base else 'takes no base model'}")
    for key in method.parameters:
        _check_values(f"merge by {name}: `{key}`", PARAMETERS[key], recipe[key], parents)
    # The task arithmetic family adds no deltas where its divisor is 0; the others divide by it.
    if not base and recipe.get("normalize") and all(map(is_finite, recipe["weights"])) and not sum(recipe["weights"]):
        raise UserError(f"merge by {name}: `weights` sum to 0, so `normalize` would divide by 0; change one of them")
    return method


def _check_values(where: str, parameter: Parameter, value: Any, parents: int) -> None:
    if parameter.per_parent and (not isinstance(value, list) or len(value) != parents):
        raise UserError(f"{where} must be a list with one value per parent ({parents}), not {value!r}")
    for one in value if parameter.per_parent else [value]:
        numbers = [one]
        if parameter.over_depth and isinstance(one, dict):
            if one.keys() != {"layers", *OUTSIDE_LAYERS} or not isinstance(one["layers"], list) or not one["layers"]:
                raise UserError(f"{where}: a gradient has `layers` (a list of numbers), {_names(OUTSIDE_LAYERS)}")
            numbers = [*one["layers"], *(one[part] for part in OUTSIDE_LAYERS)]
        for number in numbers:
            if not parameter.allows(number):
                raise UserError(f"{where} must be {parameter.must}, not {number!r}")


def _names(keys: dict[str, Any]) -> str:
    return " and ".join(f"`{key}`" for key in keys)


def has_gradient(recipe: dict[str, Any]) -> bool:
    """Whether any parameter of a checked recipe varies over depth."""
    values = [recipe[key] for key in METHODS[recipe["method"]].parameters]
    return any(isinstance(one, dict) for value in values for one in (value if isinstance(value, list) else [value]))


def build_config(recipe: dict[str, Any], parents: list[Path], base: Path | None) -> dict[str, Any]:
    """The mergekit configuration of a recipe, as the dict that its YAML file would hold.

    Every parameter with a default in mergekit is stated.  `tokenizer_source` is not: it would trim a vocabulary that
    is padded beyond its tokenizer, as Aya's is.

    Args:
        recipe: see `check`; a parameter over depth is `{"layers": [...], "embeddings": v, "final_norm": v}`.
        parents: model directories, in the order of `weights` and `densities`.
        base: model directory, where the method needs one.

    Raises:
        UserError: as `check`.
    """
    method = check(recipe, len(parents), base is not None)
    parameters = {key: PARAMETERS[key] for key in method.parameters}
    reference = parents[0] if method.first_parent_is_base else base
    return {
        "merge_method": recipe["method"],
        "dtype": recipe["dtype"],
        "out_dtype": recipe["dtype"],
        **({"base_model": _model(reference)} if reference else {}),
        "models": [
            {
                "model": _model(parent),
                "parameters": {
                    row.name: _setting(recipe[key][index]) for key, row in parameters.items() if row.per_parent
                },
            }
            for index, parent in enumerate(parents)
        ],
        "parameters": {row.name: _setting(recipe[key]) for key, row in parameters.items() if not row.per_parent},
    }


def _model(path: Path) -> dict[str, Any]:
    # Spelled out, since mergekit would take "+" and "@" in a plain string for an adapter and a revision.
    return {"model": {"path": str(path)}}


def _setting(value: Any) -> Any:
    """A value as mergekit spells it: a number, or conditions of which the first to match a tensor's name holds."""
    if not isinstance(value, dict):
        return value
    outside = [{"filter": part, "value": value[place]} for place, parts in OUTSIDE_LAYERS.items() for part in parts]
    return [*outside, {"value": value["layers"]}]
