"""What a merge method is: the parameters it takes, whether it needs a base, how many parents, whether it draws."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Parameter:
    """A parameter of mergekit's: its name there, what values it takes, and whether each parent has its own."""

    name: str
    must: str  # for the user: "must be ..."
    allows: Callable[[Any], bool]
    per_parent: bool = False
    over_depth: bool = False


@dataclass(frozen=True)
class Method:
    """A merge method: the recipe keys it takes (all of them required) and the models it takes."""

    parameters: tuple[str, ...]
    base: bool  # the model that task vectors are differences from
    parents: tuple[int, int | None] = (1, None)  # least and most
    draws: bool = False  # random numbers, so the recipe has a `seed`
    first_parent_is_base: bool = False  # in mergekit's configuration only


def is_finite(value: Any) -> bool:
    """Whether a value is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


PARAMETERS = {
    "weights": Parameter("weight", "a number", is_finite, per_parent=True, over_depth=True),
    "densities": Parameter(
        "density", "above 0 and at most 1", lambda v: is_finite(v) and 0 < v <= 1, per_parent=True, over_depth=True
    ),
    "t": Parameter("t", "from 0 (the first parent) to 1", lambda v: is_finite(v) and 0 <= v <= 1, over_depth=True),
    "normalize": Parameter("normalize", "true or false", _is_flag),
    "rescale": Parameter("rescale", "true or false", _is_flag),
    "lambda": Parameter("lambda", "a number", is_finite),
    "int8_mask": Parameter("int8_mask", "true or false", _is_flag),
}

# What mergekit's methods of task arithmetic take.
TASK_ARITHMETIC = ("weights", "densities", "normalize", "rescale", "lambda", "int8_mask")
