"""Asks language models through litellm, pays for each request once, and keeps every answer in a ledger.

The key of a request is the hash of all that the model is told: its name, the messages, the parameters.  A request whose
answer the ledger has is never sent again.  Otherwise the ledger first gets a row that says it is being sent, then one
with what came back, so a kill can only cost the requests that were in flight, and they can be counted.  Rows are
described in docs/ledger.md.

This is the only module that imports litellm, which takes three seconds, so it does so when something must be sent.
It is also the only layer that retries: litellm and the provider's own client are told not to.
"""

import asyncio
import logging
import os
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from workflow_scripts.base import hashing, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.store.append_only import AppendOnlyRows

DEFAULTS: dict[str, Any] = {
    "api_base": None,  # another server that speaks the provider's protocol
    "concurrency": 8,  # requests in flight
    "rpm": None,  # requests per minute
    "tpm": None,  # tokens per minute, in and out
    "timeout": 120.0,  # seconds for one attempt
    "retries": 5,  # after the first attempt
    "budget": None,  # US dollars that the ledger may come to; nothing more is sent then
    "backoff": 1.0,  # seconds before the first retry, doubled by each, unless the server says how long
}
PARAMETERS = ("temperature", "max_tokens", "seed", "response_format")  # settings that are part of the request
OPTIONAL = ("temperature", "seed", "response_format")  # parameters that some models refuse; then they go without
RULES = "mixmerge/"  # litellm's names of the miniature's own judges begin so
RENAMED = {"max_tokens": "max_completion_tokens"}  # parameters that newer models want under another name
LONGEST_BACKOFF = 60.0  # seconds
SYNC_EVERY = 0.25  # seconds that a power cut may cost; a kill costs none of them
NO_KEY = "openai.OpenAIError"  # raised by the client before it sends; all its other errors are subclasses
FILTERED = r"content.?(policy|filter)|moderation"  # in errors of providers; so is the next
TOO_LONG = r"context_length_exceeded|maximum context length"
UNREACHABLE = {"ConnectError", "ConnectTimeout", "ConnectionRefusedError", "gaierror"}

log = logging.getLogger(__name__)

# What models refused in this process: the next request to the same model goes without it.
_refused_parameters: defaultdict[str, set[str]] = defaultdict(set)


@dataclass(frozen=True)
class Request:
    """One question to one model; everything but the label is part of its key.

    Attributes:
        model: by its litellm name, provider/name.
        messages: as OpenAI has them, [{"role": ..., "content": ...}].
        parameters: temperature, max_tokens, response_format ...
        label: who asks, for the accounts.
    """

    model: str
    messages: list[dict[str, str]]
    parameters: dict[str, Any] = field(default_factory=dict)
    label: str = ""

    @property
    def content(self) -> dict[str, Any]:
        """All that the model is told."""
        return {"model": self.model, "messages": self.messages, **self.parameters}

    @cached_property
    def key(self) -> str:
        """Finds the request in the ledger: sha256 in hex."""
        return hashing.of_json(self.content)


def refused_parameters(model: str) -> set[str]:
    """What a model was found not to take, in this process."""
    return set(_refused_parameters[model])


def parameters(settings: dict[str, Any]) -> dict[str, Any]:
    """The part of settings that a request carries; what is None is left to the provider."""
    return {name: settings[name] for name in PARAMETERS if settings.get(name) is not None}


@dataclass(frozen=True)
class Answer:
    """What came back.

    Attributes:
        outcome: ok; refused (by the model); filtered (by the provider, for the content); too_long (for the model);
            error (after all retries).
        text: as the model wrote it, None where there is none.
        snapshot: the model that answered, by the name in its answer.
        tokens_in: None where the provider does not say; so tokens_out.
        cost_usd: by litellm's price table, None for models that it does not know.
        finish_reason: as the provider reports it: stop, length ...
    """

    key: str
    outcome: str
    text: str | None = None
    snapshot: str | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    cost_usd: float | None = None
    finish_reason: str | None = None


class Client:
    """Answers requests, from the ledger or else from the model.

    Args:
        settings: `DEFAULTS` and their defaults; other keys are ignored.
        ledger: folder of the ledger.
        provider: name of a provider of one's own, and a litellm CustomLLM or a function that makes it; the function
            is called only when something must be sent, so it can import what it likes.
    """

    def __init__(
        self, settings: dict[str, Any], ledger: Path, provider: tuple[str, Callable[[], Any] | Any] | None = None
    ) -> None:
        # A key of settings that is None (not set) means its default.
        given = {key: value for key, value in settings.items() if key in DEFAULTS and value is not None}
        self.settings: dict[str, Any] = {**DEFAULTS, **given}
        self.rows = AppendOnlyRows(ledger)
        self._provider = provider
        self._litellm: Any = None
        self._loop: asyncio.Runner | None = None
        self._requests = Pace(self.settings["rpm"])
        self._tokens = Pace(self.settings["tpm"])
        self._resume = 0.0  # until when the server asked everyone to wait, by the monotonic clock
        self._stopped = False
        self._synced = 0.0
        self._is_free = provider is not None
        self._spent = 0.0  # US dollars in the ledger, where there is a budget

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of connections and of the ledger."""
        try:
            if self._loop:
                self._loop.close()
                self._loop = None
        finally:
            self.rows.close()

    def answers(self, requests: Iterable[Request]) -> list[Answer]:
        """Answer requests, in order; each distinct one is sent at most once, and never if the ledger has its answer.

        Raises:
            UserError: the provider cannot be reached or refuses to serve (key, quota, model), or the ledger's disk is
                full.  All answers that arrived are in the ledger.
        """
        requests = list(requests)
        known = self._known(requests)
        owed = {request.key: request for request in requests if request.key not in known}
        if owed:
            if self.settings["budget"] is not None:
                self._spent = spent(self.rows.folder)
            self._import_litellm()
            self._loop = self._loop or asyncio.Runner()
            try:
                known |= self._loop.run(self._answer_all(list(owed.values())))
            finally:
                self.rows.commit()
        return [known[request.key] for request in requests]

    def owed(self, requests: Iterable[Request]) -> dict[str, Request]:
        """The requests that the ledger has no answer to, by key."""
        requests = list(requests)
        known = self._known(requests)
        return {request.key: request for request in requests if request.key not in known}

    def attempt(self, model: str, call: Callable[[Any], Any]) -> Any:
        """What a call of litellm that is no request for an answer gives, tried again where that may help.

        Raises:
            UserError: it fails for good.
        """
        self._import_litellm()
        attempts = 0
        while True:
            attempts += 1
            try:
                return call(self._litellm)
            except Exception as error:
                delay, last = self._delay(error, attempts), attempts > self.settings["retries"]
                if refusal := self._permanent(model, error, last):
                    raise refusal from None
                if last or delay is None:
                    told = " ".join(redact(f"{type(error).__name__}: {error}").split())[:500]
                    raise UserError(f"{model}: the provider does not do it ({told}); mend it, then run again") from None
                time.sleep(delay)

    def access(self, model: str) -> dict[str, Any]:
        """How litellm's calls that take no model reach its provider."""
        self._import_litellm()
        _, provider, key, base = self._litellm.get_llm_provider(model, api_base=self.settings["api_base"])
        limits = {"timeout": self.settings["timeout"], "max_retries": 0, "num_retries": 0}
        return {
            "custom_llm_provider": provider,
            "api_key": key,
            "api_base": base or self.settings["api_base"],
            **limits,
        }

    def body(self, request: Request) -> dict[str, Any]:
        """The model and the parameters of a request as its provider wants them, without what the model refused."""
        self._import_litellm()
        name, provider, _, _ = self._litellm.get_llm_provider(request.model)
        given = _accepted(request)
        named = self._litellm.utils.get_optional_params(model=name, custom_llm_provider=provider, **given)
        return {"model": name, **{key: named[key] for key in named if key not in ("stream", "extra_body")}}

    def batch_price(self, model: str, usage: dict[str, Any]) -> float | None:
        """US dollars for an answer that came with a batch; None for models that litellm has no price of."""
        self._import_litellm()
        name, provider, _, _ = self._litellm.get_llm_provider(model)
        price = self._litellm.cost_calculator.batch_cost_calculator
        return sum(price(usage=self._litellm.Usage(**usage), model=name, custom_llm_provider=provider)) or None

    def _known(self, requests: list[Request]) -> dict[str, Answer]:
        return {
            row["key"]: _answer(row)
            for row in self.rows.scan(request.key for request in requests)
            if row["state"] == "answered" and row["outcome"] != "error"
        }

    def _import_litellm(self) -> None:
        if self._litellm is None:
            # Prices come with the package: nothing is fetched, and no .env file is read.
            os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
            os.environ.setdefault("LITELLM_MODE", "PRODUCTION")
            import litellm

            litellm.telemetry = False
            litellm.suppress_debug_info = True
            for name in ("LiteLLM", "httpx", "openai"):
                logging.getLogger(name).setLevel(logging.CRITICAL)
            self._litellm = litellm
        if self._provider:
            name, handler = self._provider
            others = [item for item in self._litellm.custom_provider_map if item["provider"] != name]
            made = handler() if callable(handler) else handler
            self._litellm.custom_provider_map = [*others, {"provider": name, "custom_handler": made}]
            self._provider = None

    async def _answer_all(self, requests: list[Request]) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        waiting = iter(requests)
        self._stopped = False

        async def work() -> None:
            for request in waiting:
                await self._wait(request)
                if self._stopped:
                    return
                try:
                    answers[request.key] = await self._answer(request)
                except BaseException:
                    self._stopped = True
                    raise

        workers = [work() for _ in range(min(self.settings["concurrency"], len(requests)))]
        # What is in flight is paid for: where one worker fails, the others still bring in their answers.
        for result in await asyncio.gather(*workers, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
        return answers

    async def _answer(self, request: Request) -> Answer:
        """Send one request, as often as it takes, between its two rows in the ledger."""
        asked = {"key": request.key, "label": request.label, "model": request.model}
        self._check_budget(request)
        self._record({**asked, "state": "sent", "time": _now()})
        started = time.perf_counter()
        came: dict[str, Any] = {"outcome": "error"}
        attempts, refusal = 0, None
        while True:
            attempts += 1
            given = _accepted(request)
            try:
                came = await self._send(request, given)
                break
            except Exception as error:
                came = {"outcome": "error", "error": redact(f"{type(error).__name__}: {error}")[:2000]}
                if self._refuses_parameter(request.model, given, error):
                    continue
                if self._is_filtered(error) or self._is_too_long(error):
                    came["outcome"] = "filtered" if self._is_filtered(error) else "too_long"
                    break
                delay = self._delay(error, attempts)
                last = attempts > self.settings["retries"] or self._stopped
                refusal = self._permanent(request.model, error, last)
                if refusal or last or delay is None:
                    break
                await asyncio.sleep(delay)
                await self._wait(request)
        row = {
            **asked,
            "state": "answered",
            "time": _now(),
            "latency_s": round(time.perf_counter() - started, 4),
            "attempts": attempts,
            "without": sorted(_refused_parameters[request.model] & set(request.parameters)),
            **came,
            "request": request.content,
        }
        self._record(row)
        self._spent += row.get("cost_usd") or 0.0
        if refusal:
            raise refusal
        return _answer(row)

    def _check_budget(self, request: Request) -> None:
        budget = self.settings["budget"]
        if budget is not None and self._spent >= budget and not self._is_free:
            raise UserError(
                f"{request.label or request.model}: ${self._spent:.2f} are spent, and budget.usd is {budget:g}; "
                "what was answered is kept, and the same command asks for the rest once it is raised"
            )

    async def _send(self, request: Request, given: dict[str, Any]) -> dict[str, Any]:
        """One attempt; returns the part of the row that comes from the answer."""
        work_counter.count("llm_requests")
        timeout = self.settings["timeout"]
        async with asyncio.timeout(timeout):
            response = await self._litellm.acompletion(
                model=request.model,
                messages=request.messages,
                **given,
                api_base=self.settings["api_base"],
                timeout=timeout,
                num_retries=0,
                max_retries=0,
            )
        choice, usage = response.choices[0], getattr(response, "usage", None)
        refusal = (getattr(choice.message, "provider_specific_fields", None) or {}).get("refusal")
        text = refusal or choice.message.content
        tokens_in, tokens_out = getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None)
        if tokens_in is not None and tokens_out is not None:
            self._tokens.correct(tokens_in + tokens_out - _tokens(request))
        filtered = choice.finish_reason == "content_filter"
        return {
            "outcome": "filtered" if filtered else "refused" if refusal else "ok",
            "answer": None if text is None else text.encode(errors="replace").decode(),
            "finish_reason": choice.finish_reason,
            "snapshot": response.model,
            "fingerprint": getattr(response, "system_fingerprint", None),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost_usd": response._hidden_params.get("response_cost"),
        }

    async def _wait(self, request: Request) -> None:
        """Wait for the turn that the limits, or the server, give."""
        delay = max(self._requests.reserve(1), self._tokens.reserve(_tokens(request)))
        delay = max(delay, self._resume - time.monotonic())
        while delay > 0:
            await asyncio.sleep(delay)
            delay = self._resume - time.monotonic()  # another request may have met a 429 meanwhile

    def _record(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.rows.commit()
            self._synced = time.monotonic()

    def _refuses_parameter(self, model: str, given: dict[str, Any], error: Exception) -> bool:
        """Whether the model refused a parameter that it can do without; this process then sends it no more."""
        if not isinstance(error, self._litellm.BadRequestError) or self._is_filtered(error) or self._is_too_long(error):
            return False
        named = {name for name in OPTIONAL if name in given and re.search(rf"\b{name}\b", str(error))}
        named |= {name for name, newer in RENAMED.items() if name in given and newer in str(error)}
        if new := sorted(named - _refused_parameters[model]):
            log.warning("%s takes no %s: asked without", model, ", ".join(new))
        _refused_parameters[model] |= named
        return bool(named)

    def _is_filtered(self, error: Exception) -> bool:
        litellm = self._litellm
        return isinstance(error, litellm.ContentPolicyViolationError) or (
            isinstance(error, litellm.BadRequestError | litellm.PermissionDeniedError)
            and re.search(FILTERED, str(error), re.IGNORECASE) is not None
        )

    def _is_too_long(self, error: Exception) -> bool:
        litellm = self._litellm
        return isinstance(error, litellm.ContextWindowExceededError) or (
            isinstance(error, litellm.BadRequestError) and re.search(TOO_LONG, str(error)) is not None
        )

    def _delay(self, error: Exception, attempts: int) -> float | None:
        """Seconds until the next attempt; None for what another attempt cannot mend."""
        status = getattr(error, "status_code", None)
        if isinstance(status, int) and 400 <= status < 500 and status not in (408, 409, 425, 429):
            return None
        headers = getattr(error, "litellm_response_headers", None)
        headers = headers or getattr(getattr(error, "response", None), "headers", None) or {}
        if (asked := retry_after(headers.get("retry-after"))) is not None:
            self._resume = max(self._resume, time.monotonic() + asked)
            if asked > LONGEST_BACKOFF:
                log.warning("the server asks for %.0f s of patience", asked)
            return asked
        backoff = min(LONGEST_BACKOFF, float(self.settings["backoff"]) * 2.0 ** (attempts - 1))
        return backoff * random.uniform(0.75, 1.25)

    def _permanent(self, model: str, error: Exception, last: bool) -> UserError | None:
        """What no other request to this provider would survive either, as the user should read it."""
        litellm, causes = self._litellm, list(_causes(error))
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
            return UserError(f"{where} has no such model, or not for {variable}; mend `model` or `api_base`")
        if last and names & UNREACHABLE:
            return UserError(f"{where} cannot be reached; check the network, or `api_base`, then run again")
        return None


class Pace:
    """Spreads work evenly over time: at most so much a minute, with no burst.

    >>> pace = Pace(60)
    >>> [round(pace.reserve(1)) for _ in range(3)]
    [0, 1, 2]
    >>> Pace(None).reserve(10**9)
    0.0
    """

    def __init__(self, per_minute: float | None) -> None:
        self.seconds_each = 60 / per_minute if per_minute else 0.0
        self._free = 0.0  # when the next work may start, by the monotonic clock

    def reserve(self, amount: float) -> float:
        """Seconds to wait before this amount may start."""
        now = time.monotonic()
        start = max(now, self._free)
        self._free = start + amount * self.seconds_each
        return start - now

    def correct(self, amount: float) -> None:
        """Add to (or take from) what was reserved, once it is known."""
        self._free += amount * self.seconds_each


def in_flight(ledger: Path) -> int:
    """How many requests were sent whose answer never came to the ledger: what kills may have cost."""
    return sum(account["in_flight"] for account in audit(ledger))


def spent(ledger: Path) -> float:
    """US dollars that a ledger's answers cost, as far as prices are known."""
    return float(sum(row.get("cost_usd") or 0.0 for row in AppendOnlyRows(ledger).scan()))


def audit(ledger: Path) -> list[dict[str, Any]]:
    """The accounts of a ledger: one row per label, model and day (UTC), in that order.

    Returns:
        Dicts of label, model, day; counts of requests answered, of those that came with a batch, by outcome (ok,
        refused, filtered, too_long, error), attempts, in_flight (sent, not answered), tokens_in, tokens_out, cost_usd
        (where the price is known), unpriced (answers whose price is not known).
    """
    accounts: dict[tuple[str, str, str], dict[str, Any]] = {}
    unanswered: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    answered: defaultdict[str, int] = defaultdict(int)
    outcomes = ("ok", "refused", "filtered", "too_long", "error")
    counts = ("requests", "batched", *outcomes, "attempts", "in_flight", "tokens_in", "tokens_out")
    for row in AppendOnlyRows(ledger).scan():
        place = (row["label"], row["model"], row["time"][:10])
        account = accounts.setdefault(place, {**dict.fromkeys(counts, 0), "cost_usd": 0.0, "unpriced": 0})
        if row["state"] == "sent":
            unanswered[row["key"]].append(place)
            continue
        answered[row["key"]] += 1
        account["requests"] += 1
        account["batched"] += "batch" in row
        account[row["outcome"]] += 1
        account["attempts"] += row["attempts"]
        account["tokens_in"] += row.get("tokens_in") or 0
        account["tokens_out"] += row.get("tokens_out") or 0
        account["cost_usd"] += row.get("cost_usd") or 0.0
        account["unpriced"] += row["outcome"] not in ("error", "too_long") and row.get("cost_usd") is None
    for key, places in unanswered.items():
        # An earlier attempt is the lost one: whoever came later sent it again, and has the answer.
        for place in places[: max(0, len(places) - answered[key])]:
            accounts[place]["in_flight"] += 1
    return [
        {"label": label, "model": model, "day": day, **account}
        for (label, model, day), account in sorted(accounts.items())
    ]


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


def redact(text: str) -> str:
    """A text without the secrets of the environment, for providers quote keys in their messages."""
    for name, value in os.environ.items():
        if len(value) >= 6 and re.search("KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", name.upper()):
            text = text.replace(value, f"<{name}>")
    return text


def _answer(row: dict[str, Any]) -> Answer:
    fields = ("snapshot", "tokens_in", "tokens_out", "cost_usd", "finish_reason")
    return Answer(row["key"], row["outcome"], row.get("answer"), **{name: row.get(name) for name in fields})


def _accepted(request: Request) -> dict[str, Any]:
    """The parameters of a request without those that its model was found to refuse, or under the names it wants."""
    refused = _refused_parameters[request.model]
    named = {RENAMED.get(name, name) if name in refused else name: value for name, value in request.parameters.items()}
    return {name: value for name, value in named.items() if name not in refused}


def _tokens(request: Request) -> float:
    """What a request may cost, before it is known: a token for three bytes, and the longest answer."""
    size = sum(len(message["content"].encode()) for message in request.messages)
    return size / 3 + int(request.parameters.get("max_tokens") or 0)


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


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
