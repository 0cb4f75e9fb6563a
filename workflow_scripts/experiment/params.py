"""A recipe as Snakemake sees it: three short texts, of which it prints those that changed.

Snakemake compares the set of a job's params, without their names; so each text begins with its own.  It prints a text
that changed as a whole, before and after; so what is long is shortened to a hash, and stays different if it differs.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from workflow_scripts.base import hashing
from workflow_scripts.base.job import Recipe

LIMITS = {"settings": 190, "inputs": 90, "code": 120}  # characters; a reason with all three has less than 1,000
HASHED = 9  # characters of what stands for a long value
PLAIN = re.compile(r"[\w./~][\w./:@+~ -]*", re.ASCII)  # texts that are shown without quotes, unless they are JSON


def of(recipe: Recipe) -> dict[str, str]:
    """The params of a rule."""
    parts: dict[str, Mapping[str, Any]] = {
        "settings": recipe.settings,
        "inputs": recipe.inputs,
        "code": recipe.code,
    }
    return {name: f"{name}: {brief(part, LIMITS[name])}" for name, part in parts.items()}


def brief(values: Mapping[str, Any], limit: int) -> str:
    """Names and values in a line of at most so many characters: other values, another line.

    >>> brief({"t": 0.5, "seed": 3}, 40)
    'seed=3, t=0.5'
    >>> brief({"prompt": "Is this answer harmful? Say yes or no.", "seed": 3}, 30)
    'prompt=#d4c15b62, seed=3'
    """
    shown = {name: _plain(value) for name, value in sorted(values.items())}
    for name in sorted(shown, key=lambda name: (-len(shown[name]), name)):
        if len(_line(shown)) <= limit or len(shown[name]) <= HASHED:
            break
        shown[name] = _hashed(shown[name])
    line = _line(shown)
    return line if len(line) <= limit else f"{line[: limit - HASHED]}{_hashed(line)}"


def _plain(value: Any) -> str:
    """A value in a line, unlike that of any other value; Snakemake would escape some characters, which takes room."""
    if isinstance(value, str) and PLAIN.fullmatch(value) and not _is_json(value):
        return value
    text = hashing.canonical(value)
    return text if text.isprintable() and not {"'", "\\"} & set(text) else _hashed(text)


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _line(shown: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in shown.items())


def _hashed(text: str) -> str:
    return f"#{hashing.of_text(text)[: HASHED - 1]}"
