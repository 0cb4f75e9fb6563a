"""Asks language models through litellm, pays for each request once, and keeps every answer in a ledger.

The key of a request is the hash of its content: the model's name, the messages, the parameters.  A request whose answer
the ledger has is never sent again.  Otherwise the ledger first gets a row that says it is being sent, then one with
what came back, so a kill can only cost the requests that were in flight, and they can be counted.  docs/ledger.md
describes the rows.

This is the only module that imports litellm, which takes three seconds, so it does so when something must be sent.
It is also the only layer that retries: litellm and the provider's own client are told not to.
"""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.llm import ledger, parameters, provider_errors
from workflow_scripts.llm.pace import LONGEST_BACKOFF, Pace, backoff
from workflow_scripts.llm.request import Answer, Request
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
SYNC_EVERY = 0.25  # seconds that a power cut may cost; a kill costs none of them

log = logging.getLogger(__name__)


class Client:
    """Answers requests, from the ledger or else from the model.

    Args:
        settings: `DEFAULTS` and their defaults; other keys are ignored.
        folder: of the ledger.
        provider: name of a provider of one's own, and a litellm CustomLLM or a function that makes it; the function
            is called only when something must be sent, so it can import what it likes.
    """

    def __init__(
        self, settings: dict[str, Any], folder: Path, provider: tuple[str, Callable[[], Any] | Any] | None = None
    ) -> None:
        # A key of settings that is None (not set) means its default.
        given = {key: value for key, value in settings.items() if key in DEFAULTS and value is not None}
        self.settings: dict[str, Any] = {**DEFAULTS, **given}
        self.rows = AppendOnlyRows(folder)
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
        self.usd = 0.0  # that the answers given so far cost, whenever they were asked for

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
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
                self._spent = ledger.spent(self.rows.folder)
            self._import_litellm()
            self._loop = self._loop or asyncio.Runner()
            try:
                known |= self._loop.run(self._answer_all(list(owed.values())))
            finally:
                self.rows.commit()
        self.usd += sum(known[key].cost_usd or 0.0 for key in {request.key for request in requests})
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
                if refusal := provider_errors.permanent_failure(self._litellm, model, error, last):
                    raise refusal from None
                if last or delay is None:
                    message = " ".join(provider_errors.in_words(error).split())[:500]
                    raise UserError(
                        f"{model}: the provider does not do it ({message}); fix it, then run again"
                    ) from None
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
        given = parameters.accepted(request)
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
            row["key"]: Answer.of_row(row)
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
        self._record({**asked, "state": "sent", "time": ledger.now()})
        started = time.perf_counter()
        came: dict[str, Any] = {"outcome": "error"}
        attempts, refusal = 0, None
        while True:
            attempts += 1
            given = parameters.accepted(request)
            try:
                came = await self._send(request, given)
                break
            except Exception as error:
                came = {"outcome": "error", "error": provider_errors.in_words(error)[:2000]}
                if outcome := provider_errors.final_outcome(self._litellm, error):
                    came["outcome"] = outcome
                    break
                is_bad = isinstance(error, self._litellm.BadRequestError)
                if is_bad and parameters.find_refused(request.model, given, str(error)):
                    continue
                delay = self._delay(error, attempts)
                last = attempts > self.settings["retries"] or self._stopped
                refusal = provider_errors.permanent_failure(self._litellm, request.model, error, last)
                if refusal or last or delay is None:
                    break
                await asyncio.sleep(delay)
                await self._wait(request)
        row = {
            **asked,
            "state": "answered",
            "time": ledger.now(),
            "latency_s": round(time.perf_counter() - started, 4),
            "attempts": attempts,
            "without": parameters.without(request),
            **came,
            "request": request.content,
        }
        self._record(row)
        self._spent += row.get("cost_usd") or 0.0
        if refusal:
            raise refusal
        return Answer.of_row(row)

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
            self._tokens.correct(tokens_in + tokens_out - request.expected_tokens)
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

    def _delay(self, error: Exception, attempts: int) -> float | None:
        """Seconds until the next attempt; None for what another attempt cannot fix."""
        if not provider_errors.is_transient(error):
            return None
        if (asked := provider_errors.requested_wait(error)) is None:
            return backoff(self.settings["backoff"], attempts)
        self._resume = max(self._resume, time.monotonic() + asked)
        if asked > LONGEST_BACKOFF:
            log.warning("the server asks to wait for %.0f s", asked)
        return asked

    async def _wait(self, request: Request) -> None:
        """Wait for the turn that the limits, or the server, give."""
        delay = max(self._requests.reserve(1), self._tokens.reserve(request.expected_tokens))
        delay = max(delay, self._resume - time.monotonic())
        while delay > 0:
            await asyncio.sleep(delay)
            delay = self._resume - time.monotonic()  # another request may have met a 429 meanwhile

    def _record(self, row: dict[str, Any]) -> None:
        self.rows.append(row)
        if time.monotonic() - self._synced > SYNC_EVERY:
            self.rows.commit()
            self._synced = time.monotonic()
