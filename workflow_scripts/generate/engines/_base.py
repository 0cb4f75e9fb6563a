"""What all engines share: they are given prompts and give back completions in their order.

All see the same tokens and stop at the same ones (`models.chat`).  An engine's
file imports its libraries only where it is started, so that all can be asked about while the Snakefile is parsed.
"""

import hashlib
import json
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple, Protocol, Self

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory
from workflow_scripts.models.chat import Chat
from workflow_scripts.models.chat_template import user
from workflow_scripts.models.vocabulary import Vocabulary

Recipe = dict[str, Any]

WINDOW = 8  # batches that are handed to an engine together; what a kill can lose

# The files that two models must share for one engine to serve both, besides config.json, and what of that may differ:
# engines load weights of any data type into their own.
SHARED_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "generation_config.json",
    "mixmerge_chat.json",
)
MAY_DIFFER = {"_name_or_path", "dtype", "torch_dtype", "transformers_version"}


class Completion(NamedTuple):
    """One answer."""

    text: str
    finish_reason: str  # stop or length
    prompt_tokens: int
    completion_tokens: int  # with the token that ends the turn


class Engine(Protocol):
    """A model, ready to answer."""

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        """Answer prompts, in their order; what has been yielded is final."""

    def exchange(self, model: Path) -> None:
        """Serve another model of the same architecture and tokenizer from now on.

        Raises:
            UserError: it is of another; nothing has changed then.
        """

    def close(self) -> None:
        """Give its memory back, and end what processes it has."""


class Kind(NamedTuple):
    """A row of the registry: how an engine is started, and what decides its answers."""

    start: Callable[[Recipe, Path], Engine]
    packages: tuple[str, ...]  # whose versions decide what is generated
    check: Callable[[Path], None] = lambda model: None  # raises a UserError for a kind of model it cannot answer with
    stays: bool = False  # worth keeping up between models, see `engine_server`


def seed_of(seed: int, prompt: str) -> int:
    """A prompt's own seed, so that its sampled completion depends on no other prompt; below 2**63."""
    return int.from_bytes(hashlib.sha256(f"{seed}\n{prompt}".encode()).digest()[:8], "big") >> 1


def windows(count: int, batch_size: int) -> Iterator[range]:
    """The positions of prompts that are worked on together; a window is answered before the next one is started."""
    step = batch_size * WINDOW
    return (range(first, min(first + step, count)) for first in range(0, count, step))


class Encoder:
    """Prompts to tokens and back, the same for each engine."""

    def __init__(self, recipe: Recipe, model: Path) -> None:
        directory.tensors(model)
        self.longest_prompt = recipe["max_model_len"] - recipe["max_new_tokens"]
        self.chat = Chat.open(model)
        self.tokenizer, self.ends = self.chat.tokenizer, self.chat.stops
        self.vocabulary = Vocabulary(model, self.tokenizer)

    def encode(self, prompts: list[str]) -> list[list[int]]:
        """The tokens of prompts, each as a turn of a user, ready for the answer.

        Raises:
            UserError: one leaves no room for an answer.
        """
        if not prompts:
            return []
        tokens = self.chat.prompts([user(prompt) for prompt in prompts])
        self.vocabulary.check(chain.from_iterable(tokens))
        longest = max(map(len, tokens))
        if longest > self.longest_prompt:
            raise UserError(
                f"max_model_len: a prompt has {longest} tokens, more than the {self.longest_prompt} that "
                "max_new_tokens leaves; raise max_model_len or drop the prompt"
            )
        return tokens

    def completion(self, prompt: list[int], tokens: list[int]) -> Completion:
        """The completion that tokens make, which end with the one that ended the turn, if any did."""
        stopped = bool(tokens) and tokens[-1] in self.ends
        text = self.chat.text(tokens[: len(tokens) - stopped])
        return Completion(text, "stop" if stopped else "length", len(prompt), len(tokens))


class SharedParts(NamedTuple):
    """What models of one engine have in common, kept since a temporary model's files may be gone by the next one."""

    files: dict[str, str]
    tensors: frozenset[str]

    @classmethod
    def of(cls, model: Path) -> Self:
        """Those of a model directory."""
        return cls(shared_files(model), frozenset(directory.tensors(model)))

    def check(self, model: Path) -> None:
        """See whether an engine may load this model in place of the one it has.

        Raises:
            UserError: it is of another architecture or tokenizer.
        """
        other = SharedParts.of(model)
        for name, _ in sorted(self.files.items() ^ other.files.items()):
            raise UserError(f"{model}/{name}: differs, so the engine cannot serve this model too; start another")
        for name in sorted(self.tensors ^ other.tensors):
            raise UserError(f"{model}: tensor {name} is not in both, so the engine cannot serve this model too")


def shared_files(model: Path) -> dict[str, str]:
    """Content of the files that models of one engine share, as sha256 by name."""
    config = json.loads((model / "config.json").read_text())
    decisive = {key: value for key, value in config.items() if key not in MAY_DIFFER}
    found = {name: hashlib.sha256((model / name).read_bytes()) for name in SHARED_FILES if (model / name).exists()}
    found["config.json"] = hashlib.sha256(json.dumps(decisive, sort_keys=True).encode())
    return {name: digest.hexdigest() for name, digest in found.items()}
