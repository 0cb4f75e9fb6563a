"""The parameters of requests, and those that models were found to refuse."""

import logging
import re
from collections import defaultdict
from typing import Any

from workflow_scripts.llm.request import Request

PARAMETERS = ("temperature", "max_tokens", "seed", "response_format")  # settings that are part of the request
OPTIONAL = ("temperature", "seed", "response_format")  # parameters that some models refuse; then they go without
RENAMED = {"max_tokens": "max_completion_tokens"}  # parameters that newer models want under another name
REFUSED: defaultdict[str, set[str]] = defaultdict(set)  # by model, in this process: the next request goes without them

log = logging.getLogger(__name__)


def request_parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """The part of settings that a request carries; what is None is left to the provider."""
    return {name: settings[name] for name in PARAMETERS if settings.get(name) is not None}


def accepted(request: Request) -> dict[str, Any]:
    """The parameters of a request without those that its model was found to refuse, or under the names it wants."""
    refused = REFUSED[request.model]
    named = {RENAMED.get(name, name) if name in refused else name: value for name, value in request.parameters.items()}
    return {name: value for name, value in named.items() if name not in refused}


def without(request: Request) -> list[str]:
    """The parameters of a request that its model was found to refuse, at least under their usual names."""
    return sorted(REFUSED[request.model] & request.parameters.keys())


def find_refused(model: str, sent: dict[str, Any], message: str) -> bool:
    """Whether an error names parameters that the model can do without; this process then sends them no more."""
    named = {name for name in OPTIONAL if name in sent and re.search(rf"\b{name}\b", message)}
    named |= {name for name, newer in RENAMED.items() if name in sent and newer in message}
    if new := sorted(named - REFUSED[model]):
        log.warning("%s takes no %s: asked without", model, ", ".join(new))
    REFUSED[model] |= named
    return bool(named)
