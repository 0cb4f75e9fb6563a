"""Errors of providers: what they say of a request, whether another attempt may help, and how the user reads them."""

import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from workflow_scripts.base.errors import UserError

NO_KEY = "openai.OpenAIError"  # raised by the client before it sends; all its other errors are subclasses
FILTERED = r"content.?(policy|filter)|moderation"  # in errors of providers; so is the next
TOO_LONG = r"context_length_exceeded|maximum context length"
UNREACHABLE = {"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "gaierror"}


def final_outcome(litellm: Any, error: Exception) -> str | None:
    """The outcome of a request that no other attempt would change: filtered or too_long; None for other errors."""
    text, is_bad = str(error), isinstance(error, litellm.BadRequestError)
    is_refused = is_bad or isinstance(error, litellm.PermissionDeniedError)
    if isinstance(error, litellm.ContentPolicyViolationError) or (
        is_refused and re.search(FILTERED, text, re.IGNORECASE)
    ):
        return "filtered"
    if isinstance(error, litellm.ContextWindowExceededError) or (is_bad and re.search(TOO_LONG, text)):
        return "too_long"
    return None


def is_transient(error: Exception) -> bool:
    """Whether another attempt may help."""
    status = _status(error)
    return status is None or not 400 <= status < 500 or status in (408, 409, 425, 429)


def requested_wait(error: Exception) -> float | None:
    """Seconds that the server asks everyone to wait, if it says so."""
    headers = getattr(error, "litellm_response_headers", None)
    headers = headers or getattr(getattr(error, "response", None), "headers", None) or {}
    return retry_after(headers.get("retry-after"))


def permanent_failure(litellm: Any, model: str, error: Exception, last: bool) -> UserError | None:
    """What no other request to this provider would survive either, as the user should read it."""
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, UserError):  # raised by a provider of our own
            return cause
    provider = model.split("/")[0] if "/" in model else _provider(litellm, model)
    missing = litellm.validate_environment(model)["missing_keys"]
    variable = " or ".join(missing) or f"{provider.upper()}_API_KEY"
    where = f"{model}: {provider}"
    names = {type(cause).__name__ for cause in causes}
    if _status(error) in (401, 403):
        return UserError(f"{where} refuses the key in {variable}; set a valid one and run again")
    if missing and any(f"{type(cause).__module__}.{type(cause).__name__}" == NO_KEY for cause in causes):
        return UserError(f"{where} wants a key in {variable}, which is not set; set it and run again")
    if "insufficient_quota" in str(getattr(error, "body", "")) or _status(error) == 402:
        return UserError(f"{where} says that the account of {variable} has no credit left; add some and run again")
    if isinstance(error, litellm.NotFoundError):
        return UserError(f"{where} has no such model, or not for {variable}; correct `model` or `api_base`")
    if last and names & UNREACHABLE:
        return UserError(f"{where} cannot be reached; check the network, or `api_base`, then run again")
    return None


def retry_after(header: str | None) -> float | None:
    """Seconds that a Retry-After header asks for, which gives them, or a date.

    >>> retry_after("1.5"), retry_after("Wed, 21 Oct 2015 07:28:00 GMT"), retry_after("soon"), retry_after(None)
    (1.5, 0.0, None, None)
    """
    if header is None:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def in_words(error: Exception) -> str:
    """An error's kind and message, without secrets."""
    return redact(f"{type(error).__name__}: {error}")


def redact(text: str) -> str:
    """A text without the secrets of the environment, for providers quote keys in their messages."""
    for name, value in os.environ.items():
        if len(value) >= 6 and re.search("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", name.upper()):
            text = text.replace(value, f"<{name}>")
    return text


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _status(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None)
    return status if isinstance(status, int) else None


def _provider(litellm: Any, model: str) -> str:
    try:
        return str(litellm.get_llm_provider(model)[1])
    except litellm.BadRequestError:
        return model
