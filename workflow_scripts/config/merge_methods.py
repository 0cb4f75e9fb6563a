"""What each merge method takes: mergekit's own specifications as data, and what they leave unsaid.

`merge_methods.json` is generated from mergekit (`python -m workflow_scripts describe_methods`), so that a config is
checked without importing it; a test says in what the two differ.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE = Path(__file__).with_suffix(".json")

MISSING = object()  # the default of a parameter that has none

# Parameters that are called otherwise here: a recipe has one weight for each parent.
CALLED = {"weight": "weights"}

# What values make sense, where mergekit's types do not say: `method.parameter`, or `parameter` of any method.
LIMITS: dict[str, dict[str, Any]] = {
    "density": {"exclusiveMinimum": 0, "maximum": 1},
    "gamma": {"minimum": 0, "exclusiveMaximum": 1},
    "epsilon": {"minimum": 0},
    "select_topk": {"exclusiveMinimum": 0, "maximum": 1},
    "slerp.t": {"minimum": 0, "maximum": 1},
    "nearswap.t": {"exclusiveMinimum": 0},
    "max_iter": {"minimum": 1},
    "tol": {"exclusiveMinimum": 0},
    "eps": {"exclusiveMinimum": 0},
    "r": {"minimum": 0},
    "alpha": {"minimum": 0},
}

# A default that makes a method do nothing: at density 1 nothing is trimmed or dropped.
STATED = {"density"}

# Methods that draw random numbers: always, or only in tensors of more than a million values.
DRAW = {"dare_ties", "dare_linear", "della", "della_linear"}
MAY_DRAW = {"arcee_fusion"}

# Parameters in mergekit's specification that its code never reads: a key that changes nothing is refused.
IDLE = {
    "task_arithmetic": {"density", "rescale", "int8_mask"},
    "dare_linear": {"int8_mask"},
    "della_linear": {"int8_mask"},
    "breadcrumbs": {"int8_mask"},
}

# Methods that divide by the sum of the weights: always, or where this parameter is true.
DIVIDE = {"linear": "normalize", "multislerp": "normalize_weights", "nuslerp": None}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a method.

    Attributes:
        name: mergekit's.
        schema: JSON schema of one value.
        scope: one value for all (shared), one for each model (input), or for each but the base (non_base).
        default: `MISSING` where it has none.
    """

    name: str
    schema: Mapping[str, Any]
    scope: str
    default: Any

    @property
    def numbers(self) -> Mapping[str, Any]:
        """The part of the schema that tells which numbers it may be; empty where it is none."""
        kinds = self.schema.get("anyOf", [self.schema])
        return next((kind for kind in kinds if kind.get("type") in ("number", "integer")), {})

    @property
    def is_number(self) -> bool:
        """Whether it may change over the depth of a model."""
        return self.numbers.get("type") == "number"


@dataclass(frozen=True, eq=False)  # by identity, so that what is made of one can be cached
class Method:
    """A merge method.

    Attributes:
        name: mergekit's.
        title: its name in print.
        source: an address, or None.
        parameters: by their names in a recipe.
        base: whether mergekit wants a base model: required, optional, forbidden or ignored.
        inputs: least and most models, with the base.
        others: least and most models besides the base.
        own: whether it is a user's.
    """

    name: str
    title: str
    source: str | None
    parameters: Mapping[str, Parameter]
    base: str
    inputs: tuple[int, int | None]
    others: tuple[int, int | None]
    own: bool = False

    @property
    def first_parent_is_base(self) -> bool:
        """Whether mergekit's base model is one of the two that are merged, such as SLERP's at t = 0."""
        return self.base == "required" and self.inputs[1] == 2

    @property
    def takes_base(self) -> bool:
        """Whether a model may be named from which the parents are seen."""
        return self.base in ("required", "optional") and not self.first_parent_is_base

    @property
    def needs_base(self) -> bool:
        """Whether one must be named."""
        return self.base == "required" and not self.first_parent_is_base

    def parents(self, base: bool) -> tuple[int, int | None]:
        """How many parents it takes at least and at most, with or without a base besides them."""
        (least, most), (least_others, most_others) = self.inputs, self.others
        if self.first_parent_is_base:
            return least, most
        tops = [top for top in (most - base if most else None, most_others) if top is not None]
        return max(least - base, least_others, 1), min(tops, default=None)

    def values(self, parameter: Parameter, parents: int, base: bool) -> int | None:
        """How many values a parameter has, with so many parents, and with or without a base besides them.

        None: one for all.
        """
        if parameter.scope == "shared":
            return None
        inputs = parents + base
        return inputs - (base or self.first_parent_is_base) if parameter.scope == "non_base" else inputs


def method(name: str, said: Mapping[str, Any], own: bool = False) -> Method:
    """A method by what the table, or the description of a user's file, says of it."""
    parameters = {
        CALLED.get(key, key): Parameter(
            key,
            {**one["schema"], **({} if own else LIMITS.get(f"{name}.{key}", LIMITS.get(key, {})))},
            one["scope"],
            MISSING if "default" not in one or (key in STATED and not own) else one["default"],
        )
        for key, one in said["parameters"].items()
        if own or key not in IDLE.get(name, ())
    }
    least, most, least_others, most_others = said["inputs"]
    counts = (least, most), (least_others or 0, most_others)
    return Method(name, said["title"] or name, said["source"], parameters, said["base"], *counts, own=own)


BUILT_IN = {name: method(name, said) for name, said in json.loads(TABLE.read_text(encoding="utf-8")).items()}
