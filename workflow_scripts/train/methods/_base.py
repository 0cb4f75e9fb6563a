"""What a training method is: how it differs from other methods."""

from collections.abc import Callable
from typing import Any, NamedTuple

Recipe = dict[str, Any]


class Example(NamedTuple):
    """One row in tokens."""

    prompt: list[int]
    answers: list[list[int]]  # SFT: the completion; DPO: the chosen and the rejected one


class Method(NamedTuple):
    """What sets one way of training apart from another."""

    answers: tuple[str, ...]  # columns of records.ROWS that are answers to the prompt
    features: Callable[[Example], dict[str, Any]]  # an example as the trainer's collator wants it
    trainer: Callable[..., Any]
    arguments: Callable[..., Any]
    settings: Callable[[Recipe], dict[str, Any]]  # the arguments that only this method has
    reference: bool  # is the loss measured against the starting weights?
    passes: int = 1  # items of the trainer's dataset that a row becomes
