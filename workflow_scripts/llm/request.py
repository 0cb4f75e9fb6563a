"""Requests to language models, and what came back."""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self

from workflow_scripts.base import hashing

RULES = "mixmerge/"  # litellm's names of the miniature's own judges begin so


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
        """All that the model is given."""
        return {"model": self.model, "messages": self.messages, **self.parameters}

    @cached_property
    def key(self) -> str:
        """Finds the request in the ledger: sha256 in hex."""
        return hashing.of_json(self.content)

    @property
    def expected_tokens(self) -> float:
        """What a request may cost, before it is known: a token for three bytes, and the longest answer."""
        size = sum(len(message["content"].encode()) for message in self.messages)
        return size / 3 + int(self.parameters.get("max_tokens") or 0)


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

    @classmethod
    def of_row(cls, row: dict[str, Any]) -> Self:
        """The answer in a ledger's row."""
        fields = ("snapshot", "tokens_in", "tokens_out", "cost_usd", "finish_reason")
        return cls(row["key"], row["outcome"], row.get("answer"), **{name: row.get(name) for name in fields})
