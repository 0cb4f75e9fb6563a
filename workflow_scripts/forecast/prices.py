"""Prices of language models, by the table that comes with litellm."""

import importlib.util
import json
from functools import cache
from pathlib import Path
from typing import Any

from workflow_scripts.llm.request import RULES

BATCH = 0.5  # of the price, by a provider's batch interface
IN_OUT = ("input", "output")


@cache
def prices() -> dict[str, Any]:
    """The price table that comes with litellm, read without importing it."""
    found = importlib.util.find_spec("litellm")
    assert found and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "model_prices_and_context_window_backup.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def price(model: str, batch: bool = False) -> tuple[float, float] | None:
    """US dollars per token in and out of a litellm model; None where the table has none.

    >>> price("openai/gpt-4-turbo"), price("mixmerge/rules"), price("nobody/nothing")
    ((1e-05, 3e-05), (0.0, 0.0), None)
    """
    if model.startswith(RULES):
        return 0.0, 0.0
    entry = prices().get(model) or prices().get(model.partition("/")[2])
    if not entry or "input_cost_per_token" not in entry:
        return None
    ways = [float(entry[f"{way}_cost_per_token"]) for way in IN_OUT]
    if batch:
        halves = [BATCH * way for way in ways]
        ways = [
            float(entry.get(f"{way}_cost_per_token_batches", half)) for way, half in zip(IN_OUT, halves, strict=True)
        ]
    return ways[0], ways[1]
