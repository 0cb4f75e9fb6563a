"""Sections of data: sources, translators, mixtures, suites, and what training and evaluation may have in common."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Tag

from workflow_scripts.config.fields import execution, result, structure
from workflow_scripts.config.section import Distinct, Fraction, Name, Names, Section
from workflow_scripts.metrics import METRICS

Split = Literal["train", "validation", "test"]
if TYPE_CHECKING:
    Metric = str
else:
    Metric = Literal[tuple(METRICS)]


class PerLanguage(Section):
    """How many rows a made-up source has in each language."""

    train: int = result(0, neutral=0, ge=0)
    validation: int = result(0, neutral=0, ge=0)
    test: int = result(0, neutral=0, ge=0)


class WorldSource(Section):
    """Rows of the miniature's made-up world."""

    world: Annotated[
        Literal["pretraining", "general", "safety", "redteam", "benign", "labelled"],
        result(description="which rows to make"),
    ]
    seed: Annotated[int, result(description="of the draw of rows")]
    per_language: Annotated[PerLanguage, result(description="rows per split and language")]
    languages: Names | None = result(None, neutral=None, description="default: the experiment's")


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

    file: Annotated[
        str, result(description="path of a .jsonl, .csv or .parquet file with the columns `prompt` and `language`")
    ]
    columns: dict[Column, str] = result({}, neutral={}, description="our column name -> the file's, where they differ")
    labels: dict[str, Literal["harmful", "harmless"]] = result(
        {}, neutral={}, description="the file's value of `label` -> ours, where they differ"
    )
    split: Split = result("train", neutral="train", description="of rows that have no column `split`")
    licence: str | None = structure(None, description="recorded, and passed on to what is made from the rows")


class DatasetSource(Section):
    """Rows of a published dataset, from the hub at a pinned revision or from a folder of the same layout."""

    dataset: Annotated[str, result(description="path of a folder, or a hub id")]
    revision: str | None = result(
        None, neutral=None, description="commit of the hub's repository; required for a hub id"
    )
    format: Annotated[
        Name, result(description="which dataset it is: one of ours, or formats/<name>.py beside the config")
    ]
    languages: Names | None = result(None, neutral=None, description="default: the experiment's that the dataset has")
    splits: dict[Split, Fraction] = result(
        {},
        neutral={},
        description="share of the source prompts, by a hash of their id; what is left of 1 is left out; default: the "
        "split that the dataset says",
    )
    split_seed: int = result(
        0, neutral=0, description="of that hash: sources of one dataset need the same, or they may overlap"
    )
    limit: int | None = result(
        None, neutral=None, ge=1, description="source prompts of each split, drawn by `seed`; default: all"
    )
    seed: int = result(0, neutral=0, description="of the draw for `limit`")
    without: list[str] = result([], neutral=[], description="source prompts to leave out, by their id")
    licence: str | None = structure(
        None, description="passed on to all that is made of the rows; default: the dataset's"
    )


class TranslateSource(Section):
    """The rows of another source, and their translations."""

    translate: Annotated[Name, structure(description="key of `sources`")]
    translator: Annotated[Name, structure(description="key of `translators`")]
    languages: Annotated[
        Names, result(description="to translate into; what the source has in a language stays as it is")
    ]
    minimum: Fraction = result(
        0.0, neutral=0.0, description="a prompt goes in all languages if one of its translations is of lower quality"
    )


class SynthesisSource(Section):
    """Safety data made from seeds, as in arXiv 2406.18682: rephrased, completed, judged; what is safe is kept."""

    synthesise: Annotated[
        Name, structure(description="key of `sources`: the seeds, in their languages; rows inherit their split")
    ]
    rephraser: Annotated[Name, structure(description="key of `llms`: writes the prompts")]
    completers: Annotated[Names, structure(description="keys of `llms`: each answers every prompt")]
    judge: Annotated[Name, structure(description="key of `judges`: says by its prompt for harm which answers are safe")]
    variants: Annotated[int, result(ge=1, le=1000, description="prompts written per seed")]
    prompt: Name = structure(
        "rephrase-v1", description="for the rephraser: one of ours, or prompts/<name>.txt beside the config"
    )
    splits: Distinct[Split] = result(
        ["train"], neutral=["train"], description="of the seeds that are used, and so paid for"
    )
    languages: Names | None = result(None, neutral=None, description="default: the experiment's")
    benign: bool = result(
        False,
        neutral=False,
        description="the seeds are harmless: keep answers that help, and set them against those that refuse",
    )
    pairs: bool = result(
        False,
        neutral=False,
        description="keep only prompts that were answered both ways: what DPO learns from; asked and paid once",
    )


SOURCES: dict[str, type[Section]] = {
    "world": WorldSource,
    "file": FileSource,
    "dataset": DatasetSource,
    "translate": TranslateSource,
    "synthesise": SynthesisSource,
}  # the key by which the kind of a source is known
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

    model: Annotated[str, result(description="path of a folder, or a hub id such as facebook/nllb-200-3.3B")]
    revision: str | None = result(
        None, neutral=None, description="commit of the hub's repository; required for a hub id"
    )
    batch_size: int = execution(16, neutral=16, ge=1, description="pieces per forward pass")
    max_tokens: int = result(512, neutral=512, ge=8, description="of a piece, and of its translation")
    precision: Literal["float32", "bfloat16"] = result("bfloat16", neutral="bfloat16")
    beams: int = result(4, neutral=4, ge=1, description="1 is greedy decoding")
    codes: dict[Name, str] = result(
        {}, neutral={}, description="language -> the model's code, where base/languages.py has none"
    )
    licence: str | None = structure(
        None, description="passed on to its translations; default: NLLB's, for a facebook/nllb"
    )


class LlmTranslator(Section):
    """A language model that is asked to translate."""

    llm: Annotated[Name, structure(description="key of `llms`")]
    prompt: Name = structure("translate-v1", description="one of ours, or prompts/<name>.txt beside the config")
    max_tokens: int = result(512, neutral=512, ge=8, description="of a piece, counted as a third of its bytes")
    licence: str | None = structure(None, description="or terms of use; passed on to its translations")


def _translator_kind(value: Any) -> str:
    is_llm = "llm" in value if isinstance(value, dict) else isinstance(value, LlmTranslator)
    return "llm" if is_llm else "model"


Translator = Annotated[
    Annotated[ModelTranslator, Tag("model")] | Annotated[LlmTranslator, Tag("llm")], Discriminator(_translator_kind)
]


class Overlap(Section):
    """What training and evaluation may have in common; more stops the run before a training begins.

    Runs of thirteen words have measured contamination since GPT-3 (arXiv 2005.14165, appendix C): shorter runs are
    phrases that everybody uses.  With half of a prompt's runs a quoted instruction passes, and no prompt that was
    reworded at its ends does.
    """

    words: int = result(
        13, neutral=13, ge=1, description="length of the runs compared; a shorter prompt is compared as a whole"
    )
    characters: int = result(26, neutral=26, ge=1, description="the same, for text without spaces between its words")
    share: float = result(
        0.5, neutral=0.5, gt=0, le=1, description="of a prompt's runs that may not stand in one training row"
    )


class Mixture(Section):
    """A training set: rows per language in stated fractions; draws are nested, a smaller one is part of a larger."""

    per_language: Annotated[int, result(ge=1, description="rows per language, all parts together")]
    parts: Annotated[
        dict[Name, Fraction], result(description="source -> fraction of the final mixture; the fractions sum to one")
    ]
    languages: Names | None = result(None, neutral=None, description="default: the experiment's")
    seed: int = result(0, neutral=0, description="of the order in which rows are drawn")


class Suite(Section):
    """Held-out prompts that every model answers."""

    source: Annotated[Name, structure(description="key of `sources`")]
    split: Split = result("test", neutral="test", description="which rows of the source")
    per_language: int | None = result(None, neutral=None, ge=1, description="prompts per language; default: all")
    languages: Names | None = result(None, neutral=None, description="default: the experiment's")
    metric: Annotated[
        Metric,
        structure(
            description="harm: each answer is classified; preference: compared with the baseline's; "
            "benign: classified, of harmless prompts, so that refusing too much shows; "
            "labels: the source's own answers, to measure the judges"
        ),
    ]
    answers_in: Literal["prompt", "any"] = structure(
        "prompt", description="the language that answers should be in; any: it is not looked at"
    )
