"""The table of models: its rows, the architectures of models with random weights, and contrasts between models."""

import re
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field, model_validator

from workflow_scripts.config.chat import Chat
from workflow_scripts.config.fields import execution, result, structure
from workflow_scripts.config.section import Name, Names, Section


class Architecture(Section):
    """Fields of transformers' CohereConfig; the vocabulary is the tokenizer's."""

    hidden_size: Annotated[int, result(ge=1)]
    intermediate_size: Annotated[int, result(ge=1)]
    num_hidden_layers: Annotated[int, result(ge=1)]
    num_attention_heads: Annotated[int, result(ge=1)]
    num_key_value_heads: int | None = result(
        None, neutral=None, ge=1, description="fewer: grouped-query attention; null: as many"
    )
    max_position_embeddings: int = result(8192, neutral=8192, ge=1, description="tokens")
    hidden_act: str = result("silu", neutral="silu")
    initializer_range: float = result(0.02, neutral=0.02, gt=0)
    layer_norm_eps: float = result(1e-5, neutral=1e-5, gt=0)
    logit_scale: float = result(0.0625, neutral=0.0625, gt=0)
    use_qk_norm: bool = result(False, neutral=False)
    tie_word_embeddings: bool = result(True, neutral=True)
    attention_bias: bool = result(False, neutral=False)
    attention_dropout: float = result(0.0, neutral=0.0, ge=0, lt=1)
    rope_parameters: dict[str, Any] | None = result(None, neutral=None)

    @model_validator(mode="after")
    def _heads_fit(self) -> "Architecture":
        for parts, what in (
            (self.num_attention_heads, "hidden_size"),
            (self.num_key_value_heads, "num_attention_heads"),
        ):
            if parts and getattr(self, what) % parts:
                raise ValueError(f"{what} {getattr(self, what)} is not a multiple of {parts} heads; make it one")
        return self


class Taught(Section):
    """What a model that exists learned from after the baseline, as far as those who trained it know."""

    rows: Annotated[int, structure(ge=0, description="unique rows")]
    examples: Annotated[int, structure(ge=0, description="rows seen, epochs counted")]
    tokens: int | None = structure(None, ge=0)


class Load(Section):
    """A model that exists, or a LoRA adapter, which is merged into its base: a local folder or a hub id."""

    load: Annotated[str, result(description="path of a folder, or a hub id")]
    base: Name | None = structure(
        None,
        description="of an adapter: the row of the model that it was trained on; null: the row, or local folder, that "
        "its adapter_config.json names",
    )
    revision: str | None = result(
        None, neutral=None, description="commit of the hub's repository; required for a hub id"
    )
    trust_remote_code: bool = result(
        False, neutral=False, description="consent to run code that the model brings, here and wherever it is used"
    )
    chat: Chat | None = structure(None, description="how its conversations are written, key by key over `chat`")
    learned: Taught | None = structure(
        None, description="what it learned from after the baseline; null: not known, and matched with nothing"
    )
    licence: str | None = structure(None, description="passed on to all that is made of the model")
    architecture: dict[str, Any] | None = execution(
        None,
        neutral=None,
        description="what its config.json says, for sizes before it is at hand: hidden_size, ... vocab_size",
    )
    evaluate: bool = structure(True)


class Init(Section):
    """A model with random weights, and a tokenizer made from the words of a mixture."""

    init: Annotated[Name, structure(description="key of `architectures`")]
    tokenizer: Annotated[Name, structure(description="key of `mixtures`: its words are the vocabulary")]
    seed: int = result(0, neutral=0, ge=0, lt=1000)
    evaluate: bool = structure(False)


class Train(Section):
    """A training of a parent on a mixture, or on some of its languages, parts or rows."""

    train: Annotated[Name, structure(description="key of `training`")]
    parent: Annotated[Name, structure()]
    mixture: Annotated[Name, structure()]
    languages: Names | None = result(None, neutral=None, description="only the mixture's rows in these languages")
    parts: Names | None = result(None, neutral=None, description="only these parts of the mixture")
    per_language: int | None = result(
        None, neutral=None, ge=1, description="only so many rows per language, the fractions kept"
    )
    reseed: int = result(0, neutral=0, ge=0, lt=1000, description="another draw of all the training's random numbers")
    evaluate: bool = structure(True)


class Merge(Section):
    """A merge of parents."""

    merge: Annotated[Name, structure(description="key of `merging`")]
    parents: Annotated[list[str], structure(min_length=1, description="names, or patterns such as sft-mono-*")]
    evaluate: bool = structure(True)


KINDS: dict[str, type[Section]] = {"load": Load, "init": Init, "train": Train, "merge": Merge}
Values = Annotated[list[Any], Field(min_length=1)]
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")  # of a grid, in the name of a model or in one of its values
Grid = Annotated[dict[str, Values] | list[dict[str, Any]], Field(min_length=1)]


class ModelRow(Section):
    """A row of the table as written: one of load, init, train, merge, with its keys; `experiment` expands it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    for_: Grid | None = structure(
        None, alias="for", description="grid: {key: [values]} for all combinations, or a list of rows"
    )
    with_: dict[str, Any] = structure(
        {}, alias="with", description="overrides of the named settings of training or merging"
    )

    @model_validator(mode="after")
    def _one_kind(self) -> "ModelRow":
        kinds = [kind for kind in KINDS if kind in (self.model_extra or {})]
        if len(kinds) != 1:
            raise ValueError(f"needs exactly one of {', '.join(KINDS)}; has {', '.join(kinds) or 'none'}")
        return self


class Contrast(Section):
    """A mix against a merge: the question, with what both sides had the same of."""

    mix: Annotated[Name, structure()]
    merge: Annotated[Name, structure()]
    matched: Annotated[
        Literal["rows", "examples", "none"],
        result(
            description="rows: the parents' sets together are the mix; examples: as many seen; "
            "none: every table says so"
        ),
    ]
