"""Asks through a provider's batch interface: at half the price, within a day, and into the same ledger.

A batch is a file of requests, in OpenAI's form, that is handed in and comes back later.  What was handed in is known
from the store, whatever becomes of the process that did it:

results/.store/batches/<digest>.json   the batch: the keys of its requests, its id once the provider has given one, how
                                       it ended, and which batches were handed in after it for what it left unanswered
results/.store/batches/<digest>.jsonl  the file itself, until all in it is answered

The digest is that of the keys.  It goes along as metadata, so that a batch whose id a kill kept from being written is
found again at the provider, and is never handed in twice.
"""

import json
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path
from typing import Any

from workflow_scripts.base import disk, hashing, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.llm import parameters
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.ledger import now
from workflow_scripts.llm.provider_errors import FILTERED, TOO_LONG, redact
from workflow_scripts.llm.request import Request
from workflow_scripts.store import finished_work

PROVIDERS = ("openai", "azure", "hosted_vllm", "litellm_proxy")  # whose batches litellm handles as OpenAI's
MOST_REQUESTS, MOST_BYTES = 50_000, 190_000_000  # of a batch; OpenAI takes 200 MB
MOST_LISTED = 1000  # batches of the account that are looked through for one of ours
ENDPOINT = "/v1/chat/completions"
OVER = ("completed", "failed", "expired", "cancelled")  # how a batch ends


class Batch:
    """What the store knows of a batch: a small file, written whole or not at all."""

    def __init__(self, folder: Path, digest: str) -> None:
        self.digest = digest
        self.path, self.file = folder / f"{digest}.json", folder / f"{digest}.jsonl"
        self.state: dict[str, Any] = json.loads(self.path.read_text()) if self.path.exists() else {}

    def save(self, **changes: Any) -> None:
        """Write what changed to the disk."""
        self.state |= changes
        finished_work.write_text(self.path, json.dumps(self.state, indent=1, sort_keys=True))

    @property
    def ended(self) -> str | None:
        """How it ended, once its answers are in the ledger."""
        return self.state.get("ended")

    @property
    def mark(self) -> str:
        """What distinguishes it from all others at the provider."""
        return f"{self.digest}-{self.state['round']}"

    def lines(self) -> Iterator[dict[str, Any]]:
        """The requests in the file."""
        with self.file.open(encoding="utf-8") as lines:
            yield from map(json.loads, lines)

    def content(self, line: dict[str, Any]) -> dict[str, Any]:
        """All that a line says to the model, as its key has it."""
        return {"model": self.state["model"], "messages": line["body"]["messages"], **self.state["parameters"]}

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """One process at a time brings in its answers or goes on after it; what another did meanwhile is known here."""
        with disk.locked(self.path):
            self.state = json.loads(self.path.read_text())
            yield


def submit(client: Client, folder: Path, requests: Iterable[Request]) -> list[str]:
    """Hand in what the ledger has no answer to and no other batch is about to answer.

    The first request goes alone, at its full price: it finds out a wrong key or name of a model, and a parameter that
    the model does not take, before thousands do.

    Args:
        client: of the model; its ledger is asked and written.
        folder: results/.store/batches
        requests: of one model, with the same parameters.

    Returns:
        Digests of the batches in which the answers will be, those of others' among them.

    Raises:
        UserError: the provider does not take it; what it took is known to the store.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with disk.locked(folder / "submit"):  # who comes second finds what the first one handed in
        owed = client.owed(requests)
        pending = {key: batch for batch in _known(folder) if not batch.ended for key in batch.state["keys"]}
        found = {batch.digest: batch for key in owed if (batch := pending.get(key))}
        new = [request for key, request in owed.items() if key not in pending]
        if new:
            client.answers([new.pop(0)])
        for chunk in _chunks(new, client):
            batch = _prepared(folder, *chunk)
            found[batch.digest] = batch
        for batch in found.values():
            if "id" not in batch.state:
                _hand_in(client, batch)
        return list(found)


def collect(
    client: Client,
    folder: Path,
    digests: Iterable[str],
    poll: float,
    wait: Callable[[float], None] = time.sleep,
) -> Counter[str]:
    """Wait for batches and bring their answers into the ledger; what ended badly before is handed in again.

    Args:
        client: of the model; its ledger is written.
        folder: results/.store/batches
        digests: as `submit` gave them; of batches that the store does not know any more, nothing is done.
        poll: seconds between looks.
        wait: sleeps; may raise to stop waiting.

    Returns:
        How many requests had which outcome; `error` are those that the batch did not answer: they are asked again at
        the full price by whoever needs them.

    Raises:
        UserError: a batch failed, expired or was cancelled; the answers that it has are in the ledger.
    """
    waiting = [batch for digest in dict.fromkeys(digests) if (batch := Batch(folder, digest)).state]
    counts: Counter[str] = Counter()
    failed: list[str] = []
    while waiting:
        later = []
        for batch in waiting:
            if batch.ended not in (None, "completed"):
                ended = batch.state
                later += [Batch(folder, digest) for digest in _after(client, folder, batch)]
                counts.update({outcome: n for outcome, n in ended["counts"].items() if outcome != "error"})
            elif batch.ended or _is_over(client, batch):
                counts.update(batch.state["counts"])
                if batch.ended != "completed":
                    failed.append(_described(batch))
            else:
                later.append(batch)
        waiting = later
        if waiting:
            wait(poll)
    if failed:
        raise UserError(
            f"{'; '.join(failed)}. What was answered is kept; the same command hands in the rest again, and "
            "`batch: false` asks for it at once, at the full price"
        )
    return counts


def _known(folder: Path) -> list[Batch]:
    return [Batch(folder, path.stem) for path in sorted(folder.glob("*.json"))]


def _chunks(requests: list[Request], client: Client) -> Iterator[tuple[list[Request], list[bytes]]]:
    """Requests with their lines, as many at a time as a batch takes."""
    some: list[Request] = []
    lines: list[bytes] = []
    size = 0
    for request in requests:
        body = {**client.body(request), "messages": request.messages}
        line = {"custom_id": request.key, "method": "POST", "url": ENDPOINT, "body": body}
        text = json.dumps(line, ensure_ascii=False).encode(errors="replace") + b"\n"
        if some and (len(some) == MOST_REQUESTS or size + len(text) > MOST_BYTES):
            yield some, lines
            some, lines, size = [], [], 0
        some.append(request)
        lines.append(text)
        size += len(text)
    if some:
        yield some, lines


def _prepared(folder: Path, requests: list[Request], lines: list[bytes]) -> Batch:
    """Write down what is going to be handed in, before anything of it is."""
    first = requests[0]
    if any((request.model, request.parameters) != (first.model, first.parameters) for request in requests):
        raise ValueError("a batch is of one model, asked with the same parameters")
    keys = [request.key for request in requests]
    batch = Batch(folder, hashing.of_json(sorted(keys)))
    number = batch.state.get("round", 0) + 1  # the same requests again, after a batch that answered none
    finished_work.write_bytes(batch.file, b"".join(lines))
    batch.state = {}
    batch.save(
        round=number,
        keys=keys,
        label=first.label,
        model=first.model,
        parameters=first.parameters,
        without=parameters.without(first),
        prepared=now(),
    )
    return batch


def _hand_in(client: Client, batch: Batch) -> None:
    """Give a batch to the provider, unless it has it already: a kill may have come before its id was written."""
    access = client.access(batch.state["model"])
    name = f"{batch.digest[:16]}.jsonl"

    def create(litellm: Any) -> Any:
        if found := _found(litellm, batch, access):
            return found
        content = batch.file.read_bytes()
        uploaded = litellm.create_file(file=(name, content), purpose="batch", **access)
        work_counter.count("llm_batches")
        mark = {"mixmerge": batch.mark}
        return litellm.create_batch(
            completion_window="24h", endpoint=ENDPOINT, input_file_id=uploaded.id, metadata=mark, **access
        )

    made = client.attempt(batch.state["model"], create)
    batch.save(id=made.id, handed_in=now())
    asked = {name: batch.state[name] for name in ("label", "model")}
    for key in batch.state["keys"]:
        client.rows.append({"key": key, **asked, "state": "sent", "time": batch.state["handed_in"], "batch": made.id})
    client.rows.commit()


def _found(litellm: Any, batch: Batch, access: dict[str, Any]) -> Any:
    """The batch among those that the provider has of this account."""
    listed = litellm.list_batches(limit=100, **access)
    marks = ((one, (one.metadata or {}).get("mixmerge")) for one in islice(listed, MOST_LISTED))
    return next((one for one, mark in marks if mark == batch.mark), None)


def _is_over(client: Client, batch: Batch) -> bool:
    """Ask how a batch is; once it is over, its answers are in the ledger."""
    access = client.access(batch.state["model"])
    if "id" not in batch.state:  # its next round, which a kill or the network stopped
        with batch.claimed():
            if "id" not in batch.state:
                _hand_in(client, batch)
    found = client.attempt(batch.state["model"], lambda litellm: litellm.retrieve_batch(batch.state["id"], **access))
    if found.status not in OVER:
        return False
    files = [name for name in (found.output_file_id, found.error_file_id) if name]
    contents = [_content(client, batch.state["model"], name, access) for name in files]
    with batch.claimed():
        if batch.ended:  # another process, which waits for the same answers, was first
            return True
        counts = _record_answers(client, batch, found, b"\n".join(contents).splitlines())
        errors = (found.errors.data or []) if found.errors else []
        why = redact(" ".join(str(errors[0].message).split())) if errors else None
        batch.save(ended=found.status, why=why, counts=counts, keys=[])
    if found.status == "completed":
        batch.file.unlink(missing_ok=True)
    return True


def _content(client: Client, model: str, name: str, access: dict[str, Any]) -> bytes:
    return bytes(client.attempt(model, lambda litellm: litellm.file_content(name, **access).content))


def _record_answers(client: Client, batch: Batch, found: Any, lines: list[bytes]) -> dict[str, int]:
    """Write a row to the ledger for every request of a batch, answered or not; counts by outcome."""
    answers: dict[str, dict[str, Any]] = {}
    for text in lines:
        with suppress(ValueError):  # half a line, or none: its request counts as not answered
            answer = json.loads(text)
            answers[answer["custom_id"]] = answer
    asked = {line["custom_id"]: line for line in batch.lines()}
    rows = (row for row in client.rows.scan(asked) if row.get("batch") == found.id)
    known = {row["key"] for row in rows if row["state"] == "answered"}
    ended = found.completed_at or found.failed_at or found.expired_at or found.cancelled_at or found.created_at
    counts: Counter[str] = Counter()
    for key, line in asked.items():
        result = _outcome(client, batch.state["model"], answers.get(key))
        counts[result["outcome"]] += 1
        if key not in known:  # else a kill came between this row and the batch's end
            client.rows.append(
                {
                    "key": key,
                    **{name: batch.state[name] for name in ("label", "model")},
                    "state": "answered",
                    "time": now(),
                    "latency_s": ended - found.created_at,
                    "attempts": 1,
                    "without": batch.state["without"],
                    "batch": found.id,
                    **result,
                    "request": batch.content(line),
                }
            )
    client.rows.commit()
    return dict(counts)


def _outcome(client: Client, model: str, answer: dict[str, Any] | None) -> dict[str, Any]:
    """The part of a ledger's row that comes from a line of a batch's output."""
    if answer is None:
        return {"outcome": "error", "error": "the batch has no answer to it"}
    response = answer.get("response") or {}
    body = response.get("body") or {}
    if response.get("status_code") != 200 or not body.get("choices"):
        error = redact(json.dumps(answer.get("error") or body.get("error") or response, ensure_ascii=False))[:2000]
        is_filtered, is_long = re.search(FILTERED, error, re.IGNORECASE), re.search(TOO_LONG, error)
        return {"outcome": "filtered" if is_filtered else "too_long" if is_long else "error", "error": error}
    choice, usage = body["choices"][0], body.get("usage") or {}
    message = choice.get("message") or {}
    filtered, refusal = choice.get("finish_reason") == "content_filter", message.get("refusal")
    return {
        "outcome": "filtered" if filtered else "refused" if refusal else "ok",
        "answer": refusal or message.get("content"),
        "finish_reason": choice.get("finish_reason"),
        "snapshot": body.get("model"),
        "fingerprint": body.get("system_fingerprint"),
        "tokens_in": usage.get("prompt_tokens"),
        "tokens_out": usage.get("completion_tokens"),
        "cost_usd": client.batch_price(model, usage),
    }


def _after(client: Client, folder: Path, batch: Batch) -> list[str]:
    """The batches that go on where one ended badly: handed in now, unless they were before."""
    with batch.claimed():
        if not batch.ended:  # another process, which waits for it as well, handed it in
            return [batch.digest]
        if "next" not in batch.state:
            label, model, asked = (batch.state[name] for name in ("label", "model", "parameters"))
            requests = [Request(model, line["body"]["messages"], asked, label) for line in batch.lines()]
            after = submit(client, folder, requests)
            if batch.digest in after:  # none was answered, so it is the same batch in its next round
                return after
            batch.save(next=after)
            batch.file.unlink(missing_ok=True)
        return list(batch.state["next"])


def _described(batch: Batch) -> str:
    lost = batch.state["counts"].get("error", 0)
    why = f" ({batch.state['why']})" if batch.state["why"] else ""
    return f"batch {batch.state['id']} {batch.ended}{why}, with {lost} requests unanswered"
