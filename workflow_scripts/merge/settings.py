"""The settings of a merge: checked by its method, completed to a recipe, and read for one tensor.

Neither torch nor mergekit is imported, so that a config can be checked when the Snakefile is parsed.
"""

from typing import Any

from pydantic import ValidationError

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.merge_methods import CALLED, DIVIDE, MAY_DRAW, Method
from workflow_scripts.config.merging import Gradient, Merging, numbers, section
from workflow_scripts.merge.methods import METHODS

# Tensors outside the layers, by parts of their names: a plain gradient would give them its first value.
OUTSIDE_LAYERS = {"embeddings": ("embed_tokens", "lm_head"), "final_norm": ("model.norm.",)}


# Keys of mergekit's YAML files that are called otherwise here.
RENAMED = {"merge_method": "method", "base_model": "base", "weight": "weights", "lambda_": "lambda"}


def as_mergekit_spells(raw: dict[str, Any], method: Method) -> list[tuple[str, str]]:
    """What in settings is spelled as in mergekit's YAML files, and how it is spelled here: (key, what to do)."""
    found = [(key, f"is called `{here}` here") for key, here in RENAMED.items() if key in raw]
    if "parameters" in raw:
        found.append(("parameters", "write what it holds beside `method`"))
    for key, value in raw.items():
        items = value if isinstance(value, list) else [value]
        parameter = method.parameters.get(key)
        if any(isinstance(one, dict) and {"filter", "value"} & one.keys() for one in items):
            found.append(
                (key, "has filters, which are not read; a number may change over depth alone (docs/merging.md)")
            )
        elif parameter and parameter.scope == "shared" and parameter.is_number and isinstance(value, list):
            found.append((key, "is a list; a gradient is {layers: [...], embeddings: ..., final_norm: ...}"))
    return found


def mistakes(settings: Merging, method: Method, parents: int, base: bool) -> list[tuple[str, str]]:
    """What is wrong with the settings of a merge of so many parents: (key, what is wrong and what to do).

    Args:
        settings: of the type that `section` makes of the method.
        method: what it takes.
        parents: how many there are.
        base: whether there is one besides them.
    """
    found, values = [], dict(settings)
    least, most = method.parents(base)
    if parents < least or (most is not None and parents > most):
        count = f"exactly {least}" if least == most else f"{least} or more" if most is None else f"{least} to {most}"
        found.append(("parents", f"{method.name} takes {count} models, not {parents}; name as many"))
    if method.needs_base and not base:
        found.append(("base", f"{method.name} needs a base; set it to a model"))
    several = {key: method.values(parameter, parents, base) for key, parameter in method.parameters.items()}
    for key, wanted in several.items():
        if wanted is not None and isinstance(values[key], list) and len(values[key]) != wanted:
            models = f"{parents} parents" if wanted == parents else f"{wanted} models, as the base counts here"
            found.append((key, f"{len(values[key])} values for {models}; give one for all, or one for each"))
    if found:
        return found
    if method.name in DIVIDE and (not (switch := DIVIDE[method.name]) or values[switch]):
        weights = _each(values["weights"], parents)
        if not any(isinstance(weight, Gradient) for weight in weights) and _cancel(weights):
            by = f"`{switch}`" if switch else method.name
            found.append(("weights", f"sum to 0, and {by} divides by that; change one of them"))
    if {"density", "epsilon"} <= values.keys():
        both = zip(*(_each(values[key], parents) for key in ("density", "epsilon")), strict=True)
        if any(not _fits(one, other) for one, other in both):
            found.append(("epsilon", "density - epsilon must be above 0, density + epsilon below 1; make it smaller"))
    return found


def _fits(density: Any, epsilon: Any) -> bool:
    """Whether DELLA's probabilities of keeping, density - epsilon to density + epsilon, are probabilities.

    Density 1 keeps all; a gradient that reaches it passes through what is too close to it.
    """
    layers, widths = density.layers if isinstance(density, Gradient) else [density], numbers(epsilon)
    if min(layers) < 1 <= max(layers) and max(widths) > 0:
        return False
    return all(d - e > 0 and d + e < 1 for d in numbers(density) if d < 1 for e in widths)


def _cancel(weights: list[float]) -> bool:
    """Whether weights sum to 0 but for the rounding of decimal fractions and of float32, in which mergekit sums."""
    return abs(sum(weights)) <= 1e-6 * sum(map(abs, weights))


def _each(value: Any, count: int) -> list[Any]:
    return value if isinstance(value, list) else [value] * count


def complete(settings: Merging, parents: int, base: bool) -> dict[str, Any]:
    """A merge as it is computed: every parameter stated, one value for each model where each has its own.

    Args:
        settings: without mistakes.
        parents: how many there are.
        base: whether there is one besides them; its values, where it has its own, come first.
    """
    method = METHODS[settings.method]
    recipe = settings.model_dump(exclude={"base"})
    if method.name in MAY_DRAW and recipe["seed"] is None:
        recipe["seed"] = 0
    for key, parameter in method.parameters.items():
        if (count := method.values(parameter, parents, base)) is not None:
            recipe[key] = _each(recipe[key], count)
    return recipe


def check(recipe: dict[str, Any], parents: int, base: bool) -> Method:
    """Check a recipe against its method.

    Args:
        recipe: `method`, the method's parameters, and what differs from the defaults of `Merging`.
        parents: how many there are.
        base: whether there is one besides them.

    Returns:
        The method.

    Raises:
        UserError: a line for each setting that is missing, out of range or of another method, or for the models.
    """
    name: Any = recipe.get("method")
    if name not in METHODS:
        raise UserError(f"merge method {name!r} is not known; choose one of {', '.join(METHODS)}")
    method = METHODS[name]
    if base and not method.takes_base:
        raise UserError(f"merge by {name}: takes no base model")
    try:
        settings = section(method).model_validate({k: v for k, v in recipe.items() if k != "tokenizer_from"})
    except ValidationError as error:
        wrong = {str(one["loc"][0]): one["msg"] for one in error.errors()}  # of the types a value may have, the last
    else:
        wrong = dict(mistakes(settings, method, parents, base))
    if wrong:
        raise UserError("\n".join(f"merge by {name}: `{key}`: {what}" for key, what in wrong.items()))
    return method


def has_gradient(recipe: dict[str, Any]) -> bool:
    """Whether any parameter of a recipe varies over depth."""
    return any(
        isinstance(one, dict) for value in recipe.values() for one in (value if isinstance(value, list) else [value])
    )


def of_tensor(recipe: dict[str, Any], parameters: list[str], name: str, depth: float | None) -> dict[str, Any]:
    """The parameters of one tensor's merge, by mergekit's names; what the recipe does not state is left to mergekit.

    Args:
        recipe: as `complete` gives it.
        parameters: mergekit's names of those that the method takes.
        name: of the tensor.
        depth: of its layer, from 0 (the first) to 1 (the last); None outside the layers.
    """

    def at(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if depth is None:
            return next(value[place] for place, parts in OUTSIDE_LAYERS.items() if any(part in name for part in parts))
        return _interpolated(value["layers"], depth)

    values = {one: recipe[key] for one in parameters if (key := CALLED.get(one, one)) in recipe}
    return {key: [at(one) for one in value] if isinstance(value, list) else at(value) for key, value in values.items()}


def _interpolated(values: list[float], depth: float) -> float:
    """A gradient's value at a depth, with mergekit's steps in its order, so that the bits are the same."""
    scaled = depth * (len(values) - 1)
    below = int(scaled)
    above = min(len(values) - 1, below + 1)
    share = scaled - below
    return (1 - share) * float(values[below]) + share * float(values[above])
