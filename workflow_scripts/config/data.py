"""Sections of data: sources, translators, mixtures, suites, and what training and evaluation may have in common."""

from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from workflow_scripts.config.section import Distinct, Fraction, Name, Names, Section

Split = Literal["train", "validation", "test"]
Metric = Literal["harm", "preference", "benign", "labels"]


class PerLanguage(Section):
    """How many rows a made-up source has in each language."""

    train: int = Field(0, ge=0)
    validation: int = Field(0, ge=0)
    test: int = Field(0, ge=0)


class WorldSource(Section):
    """Rows of the miniature's made-up world."""

    world: Literal["pretraining", "general", "safety", "redteam", "benign", "labelled"] = Field(
        description="which rows to make"
    )
    seed: int = Field(description="of the draw of rows")
    per_language: PerLanguage = Field(description="rows per split and language")
    languages: Names | None = Field(None, description="default: the experiment's")


Column = Literal[
    "id",
    "source_prompt_id",
    "language",
    "split",
    "prompt",
    "completion",
    "rejected",
    "reference",
    "categories",
    "scope",
    "label",
]


class FileSource(Section):
    """Rows of the user's own file: JSON lines, CSV or parquet."""

    file: str = Field(description="path of a .jsonl, .csv or .parquet file with the columns `prompt` and `language`")
    columns: dict[Column, str] = Field({}, description="our column name -> the file's, where they differ")
    labels: dict[str, Literal["harmful", "harmless"]] = Field(
        {}, description="the file's value of `label` -> ours, where they differ"
    )
    split: Split = Field("train", description="of rows that have no column `split`")
    licence: str | None = Field(None, description="recorded, and passed on to what is made from the rows")


class DatasetSource(Section):
    """Rows of a published dataset, from the hub at a pinned revision or from a folder of the same layout."""

    dataset: str = Field(description="path of a folder, or a hub id")
    revision: str | None = Field(None, description="commit of the hub's repository; required for a hub id")
    format: Name = Field(description="a file of data/formats: which dataset it is")
    languages: Names | None = Field(None, description="default: the experiment's that the dataset has")
    splits: dict[Split, Fraction] = Field(
        {},
        description="share of the source prompts, by a hash of their id; what is left of 1 is left out; default: the "
        "split that the dataset says",
    )
    split_seed: int = Field(0, description="of that hash: sources of one dataset need the same, or they may overlap")
    limit: int | None = Field(None, ge=1, description="source prompts of each split, drawn by `seed`; default: all")
    seed: int = Field(0, description="of the draw for `limit`")
    without: list[str] = Field([], description="source prompts to leave out, by their id")
    licence: str | None = Field(None, description="passed on to all that is made of the rows; default: the dataset's")


class TranslateSource(Section):
    """The rows of another source, and their translations."""

    translate: Name = Field(description="key of `sources`")
    translator: Name = Field(description="key of `translators`")
    languages: Names = Field(description="to translate into; what the source has in a language stays as it is")
    minimum: Fraction = Field(
        0.0, description="a prompt goes in all languages if one of its translations is of lower quality"
    )


class SynthesisSource(Section):
    """Safety data made from seeds, as in arXiv 2406.18682: rephrased, completed, judged; what is safe is kept."""

    synthesise: Name = Field(description="key of `sources`: the seeds, in their languages; rows inherit their split")
    rephraser: Name = Field(description="key of `llms`: writes the prompts")
    completers: Names = Field(description="keys of `llms`: each answers every prompt")
    judge: Name = Field(description="key of `judges`: says by its prompt for harm which answers are safe")
    variants: int = Field(ge=1, le=1000, description="prompts written per seed")
    prompt: Name = Field("rephrase-v1", description="prompt file in llm/prompt_files, for the rephraser")
    splits: Distinct[Split] = Field(["train"], description="of the seeds that are used, and so paid for")
    languages: Names | None = Field(None, description="default: the experiment's")
    benign: bool = Field(
        False, description="the seeds are harmless: keep answers that help, and set them against those that refuse"
    )
    pairs: bool = Field(
        False, description="keep only prompts that were answered both ways: what DPO learns from; asked and paid once"
    )


SOURCES: dict[str, type[Section]] = {
    "world": WorldSource,
    "file": FileSource,
    "dataset": DatasetSource,
    "translate": TranslateSource,
    "synthesise": SynthesisSource,
}  # the key that tells what kind a source is
DERIVED = ("translate", "synthesise")  # those that name the source from which another is made


def _source_kind(value: Any) -> str:
    if isinstance(value, dict):
        return next((kind for kind in SOURCES if kind in value), "world")
    return next((kind for kind, section in SOURCES.items() if isinstance(value, section)), "world")


Source = Annotated[
    Annotated[WorldSource, Tag("world")]
    | Annotated[FileSource, Tag("file")]
    | Annotated[DatasetSource, Tag("dataset")]
    | Annotated[TranslateSource, Tag("translate")]
    | Annotated[SynthesisSource, Tag("synthesise")],
    Discriminator(_source_kind),
]


class ModelTranslator(Section):
    """A translation model of NLLB's kind, through transformers."""

    model: str = Field(description="path of a folder, or a hub id such as facebook/nllb-200-3.3B")
    revision: str | None = Field(None, description="commit of the hub's repository; required for a hub id")
    batch_size: int = Field(16, ge=1, description="pieces per forward pass")
    max_tokens: int = Field(512, ge=8, description="of a piece, and of its translation")
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    beams: int = Field(4, ge=1, description="1 is greedy decoding")
    codes: dict[Name, str] = Field({}, description="language -> the model's code, where translating.LANGUAGES has none")
    licence: str | None = Field(None, description="passed on to its translations; default: NLLB's, for a facebook/nllb")


class LlmTranslator(Section):
    """A language model that is asked to translate."""

    llm: Name = Field(description="key of `llms`")
    prompt: Name = Field("translate-v1", description="prompt file in llm/prompt_files")
    max_tokens: int = Field(512, ge=8, description="of a piece, counted as a third of its bytes")
    licence: str | None = Field(None, description="or terms of use; passed on to its translations")


def _translator_kind(value: Any) -> str:
    is_llm = "llm" in value if isinstance(value, dict) else isinstance(value, LlmTranslator)
    return "llm" if is_llm else "model"


Translator = Annotated[
    Annotated[ModelTranslator, Tag("model")] | Annotated[LlmTranslator, Tag("llm")], Discriminator(_translator_kind)
]


class Overlap(Section):
    """What training and evaluation may have in common; more stops the run before a training begins.

    Thirteen words are what contamination has been told by since GPT-3 (arXiv 2005.14165, appendix C): shorter runs are
    phrases that everybody uses.  Half of a prompt's runs lets a quoted instruction pass and no prompt that was reworded
    at its ends.
    """

    words: int = Field(13, ge=1, description="length of the runs compared; a shorter prompt is compared as a whole")
    characters: int = Field(26, ge=1, description="the same, for text without spaces between its words")
    share: float = Field(0.5, gt=0, le=1, description="of a prompt's runs that may not stand in one training row")


class Mixture(Section):
    """A training set: rows per language in stated fractions; draws are nested, a smaller one is part of a larger."""

    per_language: int = Field(ge=1, description="rows per language, all parts together")
    parts: dict[Name, Fraction] = Field(description="source -> fraction of the final mixture; the fractions sum to one")
    languages: Names | None = Field(None, description="default: the experiment's")
    seed: int = Field(0, description="of the order in which rows are drawn")


class Suite(Section):
    """Held-out prompts that every model answers."""

    source: Name = Field(description="key of `sources`")
    split: Split = Field("test", description="which rows of the source")
    per_language: int | None = Field(None, ge=1, description="prompts per language; default: all")
    languages: Names | None = Field(None, description="default: the experiment's")
    metric: Metric = Field(
        description="harm: each answer is classified; preference: compared with the baseline's; benign: classified, of "
        "harmless prompts, so that refusing too much shows; labels: the source's own answers, to measure the judges"
    )
    answers_in: Literal["prompt", "any"] = Field(
        "prompt", description="the language that answers should be in; any: it is not looked at"
    )
