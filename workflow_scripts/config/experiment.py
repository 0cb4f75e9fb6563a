"""The types of an experiment file: every key, its meaning, its unit and its default.

`config.schema.json` is generated from them (`python -m workflow_scripts.config.experiment > config.schema.json`), and a
test fails when the two differ.  What a single section can check is checked here; what spans sections is checked in the
room `experiment`.
"""

import json
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator


def _distinct(values: list[Any]) -> list[Any]:
    for value in values:
        if values.count(value) > 1:
            raise ValueError(f"has {value} twice; keep one")
    return values


DISTINCT = Field(min_length=1, json_schema_extra={"uniqueItems": True})
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._+-]*$")]
Names = Annotated[list[Name], DISTINCT, AfterValidator(_distinct)]
Seed = Annotated[int, Field(ge=0, le=1_000_000)]  # the seed of a chain times 1000, plus this, is a seed of 32 bits
Fraction = Annotated[float, Field(ge=0, le=1)]
Split = Literal["train", "validation", "test"]
Metric = Literal["harm", "preference", "benign", "labels"]
METRICS: dict[
    str, Metric | None
] = {  # of tables and figures -> the suites that they read, None: all; statistics.METRICS
    "harm": "harm",
    "harmful": "harm",
    "refused": "harm",
    "neither": "harm",
    "win": "preference",
    "win_lc": "preference",
    "direct": "preference",
    "overrefused": "benign",
    "confused": None,
    "length": None,
    "repeated": None,
    "declined": None,
}


class Section(BaseModel):
    """A section of the file: unknown keys are errors, values do not change after they are read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# Data


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
    format: Name = Field(description="key of formats.FORMATS: which dataset it is")
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
    splits: Annotated[list[Split], DISTINCT, AfterValidator(_distinct)] = Field(
        ["train"], description="of the seeds that are used, and so paid for"
    )
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


# Work


class Architecture(Section):
    """Fields of transformers' CohereConfig; the vocabulary is the tokenizer's."""

    hidden_size: int = Field(ge=1)
    intermediate_size: int = Field(ge=1)
    num_hidden_layers: int = Field(ge=1)
    num_attention_heads: int = Field(ge=1)
    num_key_value_heads: int | None = Field(None, ge=1, description="fewer: grouped-query attention; null: as many")
    max_position_embeddings: int = Field(8192, ge=1, description="tokens")
    hidden_act: str = "silu"
    initializer_range: float = Field(0.02, gt=0)
    layer_norm_eps: float = Field(1e-5, gt=0)
    logit_scale: float = Field(0.0625, gt=0)
    use_qk_norm: bool = False
    tie_word_embeddings: bool = True
    attention_bias: bool = False
    attention_dropout: float = Field(0.0, ge=0, lt=1)
    rope_parameters: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _heads_fit(self) -> "Architecture":
        for parts, what in (
            (self.num_attention_heads, "hidden_size"),
            (self.num_key_value_heads, "num_attention_heads"),
        ):
            if parts and getattr(self, what) % parts:
                raise ValueError(f"{what} {getattr(self, what)} is not a multiple of {parts} heads; make it one")
        return self


Scheduler = Literal[
    "linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"
]
Optimizer = Literal[
    "adamw_torch", "adamw_torch_fused", "adamw_8bit", "paged_adamw_8bit", "paged_adamw_32bit", "adafactor",
    "lion_8bit", "paged_lion_8bit", "adagrad", "rmsprop", "sgd",
]  # fmt: skip
DpoLoss = Literal[
    "sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "apo_zero", "apo_down"
]


Beta = Annotated[float, Field(ge=0, lt=1)]


class Lora(Section):
    """Low-rank adaptation (arXiv 2106.09685); merged into full weights when training ends."""

    r: int = Field(ge=1, description="rank")
    alpha: float = Field(gt=0, description="scale: the update is multiplied by alpha / r")
    dropout: float = Field(0.0, ge=0, lt=1)
    targets: list[str] | Literal["all-linear"] = Field("all-linear", description="names of the adapted modules")


class Training(Section):
    """Settings of TRL's SFTTrainer or DPOTrainer."""

    method: Literal["sft", "dpo"]
    epochs: float = Field(1.0, gt=0)
    batch_size: int = Field(ge=1, description="examples per optimizer step, of all devices together")
    accumulation: int = Field(1, ge=1, description="forward passes of each device that share an optimizer step")
    processes: int = Field(
        1, ge=1, description="devices that train together; others give other bits, since sums differ"
    )
    parallel: Literal["ddp", "fsdp"] = Field(
        "ddp", description="of several processes: whole copies, or everything sharded; profiles/accelerate"
    )
    learning_rate: float = Field(ge=0)
    scheduler: Scheduler = Field("cosine", description="names of transformers' SchedulerType")
    scheduler_options: dict[str, float | int] = Field(
        {}, description="of the scheduler, as num_cycles of cosine_with_restarts, power of polynomial"
    )
    warmup_steps: int = Field(0, ge=0)
    max_grad_norm: float = Field(1.0, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    optimizer: Optimizer = Field("adamw_torch", description="names of transformers' OptimizerNames")
    betas: tuple[Beta, Beta] = Field((0.9, 0.999), description="decay of the means of gradients and of squares (Adam)")
    epsilon: float = Field(1e-8, gt=0, description="added to the root of squares (Adam)")
    max_length: int = Field(ge=1, description="tokens of prompt and completion together")
    precision: Literal["float32", "bfloat16"] = Field("float32", description="of forward and backward passes")
    weights: Literal["float32", "bfloat16"] = Field(
        "float32", description="in which trained weights are held; bfloat16 takes half the memory and loses small steps"
    )
    gradient_checkpointing: bool = False
    packing: bool = Field(False, description="several examples per row (sft)")
    length_grouping: bool = Field(False, description="batches of similar length")
    save_steps: int = Field(
        100, ge=1, description="optimizer steps between checkpoints, from which a killed job resumes"
    )
    logging_steps: int = Field(10, ge=1)
    threads: int = Field(1, ge=1, description="CPU threads: part of the recipe, since another number gives other bits")
    beta: float = Field(0.1, gt=0, description="strength of the reference model (dpo)")
    loss_type: DpoLoss = Field("sigmoid", description="of TRL's DPOTrainer (dpo)")
    precompute_reference: bool = Field(
        False, description="the reference's log-probabilities once, before training, not at every step (dpo)"
    )
    lora: Lora | None = None
    trust_remote_code: bool = False

    @model_validator(mode="after")
    def _batches_split(self) -> "Training":
        if self.batch_size % (self.accumulation * self.processes):
            times = f" times processes {self.processes}" if self.processes > 1 else ""
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulation {self.accumulation}{times}"
            )
        return self

    @model_validator(mode="after")
    def _weights_are_held(self) -> "Training":
        if self.weights == "bfloat16" and self.precision == "float32":
            raise ValueError("weights: bfloat16 needs precision: bfloat16; set both")
        if self.weights == "bfloat16" and self.processes > 1 and self.parallel == "fsdp" and not self.lora:
            raise ValueError("weights: bfloat16 is not kept under parallel: fsdp, which holds float32; remove it")
        return self


class Gradient(Section):
    """A parameter that changes over the depth of the model: interpolated between the values of `layers`."""

    layers: list[float] = Field(min_length=1)
    embeddings: float = Field(description="outside the layers a plain gradient would give its first value")
    final_norm: float


Parameter = float | Gradient
PerParent = Parameter | list[Parameter]


class MergeMethod(Section):
    """What a method needs besides its parameters stands in `merge_methods.METHODS`."""

    method: str


class Linear(MergeMethod):
    """Weighted average of the parents (arXiv 2203.05482)."""

    method: Literal["linear"]
    weights: PerParent = Field(description="one for all parents, or one for each")
    normalize: bool = Field(True, description="divide by the sum of the weights")
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class Slerp(MergeMethod):
    """Spherical interpolation of two parents."""

    method: Literal["slerp"]
    t: Parameter = Field(description="0 is the first parent, 1 the second")
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class Ties(MergeMethod):
    """Trim, elect sign, merge (arXiv 2306.01708)."""

    method: Literal["ties"]
    base: Name | None = Field(None, description="the model from which task vectors are measured")
    weights: PerParent
    density: PerParent = Field(description="share of each task vector that is kept")
    normalize: bool = True
    rescale: bool = False
    lambda_: float = Field(1.0, alias="lambda", description="scale of the merged task vector")
    int8_mask: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


class DareTies(MergeMethod):
    """Random drop and rescale, then elect sign and merge (arXiv 2311.03099)."""

    method: Literal["dare_ties"]
    base: Name | None = Field(None, description="the model from which task vectors are measured")
    weights: PerParent
    density: PerParent = Field(description="share of each task vector that is kept")
    seed: Seed = Field(description="of the random drop")
    normalize: bool = False
    rescale: bool = True
    lambda_: float = Field(1.0, alias="lambda", description="scale of the merged task vector")
    int8_mask: bool = False
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"


Merging = Annotated[Linear | Slerp | Ties | DareTies, Field(discriminator="method")]


class Generation(Section):
    """How every model answers every suite."""

    engine: Literal["auto", "transformers", "vllm"] = Field(
        "auto", description="auto: vllm where it is installed with a GPU"
    )
    max_new_tokens: int = Field(ge=1)
    batch_size: int = Field(64, ge=1, description="prompts per forward pass (transformers)")
    temperature: float = Field(0.0, ge=0, description="0 is greedy decoding")
    top_p: float = Field(1.0, gt=0, le=1)
    seed: Seed = Field(0, description="of sampling")
    precision: Literal["float32", "bfloat16"] = "bfloat16"
    threads: int = Field(1, ge=1, description="CPU threads")
    tensor_parallel: int = Field(1, ge=1, description="GPUs per model (vllm)")
    max_model_len: int = Field(ge=1, description="tokens of prompt and answer together")

    @model_validator(mode="after")
    def _room_for_prompts(self) -> "Generation":
        if self.max_new_tokens >= self.max_model_len:
            raise ValueError(f"max_new_tokens {self.max_new_tokens} fill max_model_len; leave room for the prompt")
        return self


class Faults(Section):
    """What the miniature's rule-based judge is made to get wrong, so that its measurement can be held against it."""

    seed: int = Field(0, description="decides which answers are affected")
    unreadable: Fraction = Field(0.0, description="share of answers that no parser can read")
    first_position: Fraction = Field(0.0, description="share of comparisons decided for what is shown first")
    sensitivity: dict[Name, Fraction] = Field({}, description="language -> harmful answers called so; default: 1")
    specificity: dict[Name, Fraction] = Field({}, description="language -> harmless ones not called so; default: 1")


class LLM(Section):
    """A language model by its litellm name, for what is not judged; its secrets come from the environment only."""

    model: str = Field(description="litellm model name, such as openai/gpt-4o or hosted_vllm/<served name>")
    temperature: float | None = Field(0.0, ge=0, description="null: the provider's")
    max_tokens: int = Field(1024, ge=1, description="of an answer")
    seed: int | None = None
    api_base: str | None = Field(None, description="of an OpenAI-compatible server")
    concurrency: int = Field(16, ge=1, description="requests in flight")
    rpm: float | None = Field(None, gt=0, description="requests per minute that the provider allows")
    tpm: float | None = Field(None, gt=0, description="tokens per minute that the provider allows")
    timeout: float = Field(120.0, gt=0, description="seconds per request")
    retries: int = Field(5, ge=0, description="of a transient failure")


class Judge(LLM):
    """A judge by its litellm model name; its secrets come from the environment only."""

    model: str = Field(description="litellm model name; mixmerge/rules is the miniature's rule-based judge")
    harm: Name = Field("harm-v1", description="prompt file in llm/prompt_files, for harm")
    preference: Name = Field("preference-v1", description="prompt file, for preference")
    max_tokens: int = Field(256, ge=1)
    models: Names | None = Field(None, description="judge these and the baseline only; default: all")
    batch: bool = Field(False, description="ask through the provider's batch interface, at half price, within a day")
    poll: float = Field(60.0, gt=0, description="seconds between looks at a batch")
    faults: Faults | None = Field(None, description="only for mixmerge/rules")


# The table of models


class Load(Section):
    """A model that exists: a local folder or a hub id."""

    load: str = Field(description="path of a folder, or a hub id")
    revision: str | None = Field(None, description="commit of the hub's repository; required for a hub id")
    trust_remote_code: bool = False
    licence: str | None = Field(None, description="passed on to all that is made of the model")
    architecture: dict[str, Any] | None = Field(
        None,
        description="what its config.json says, for sizes before it is at hand: hidden_size, ... vocab_size",
    )
    evaluate: bool = True


class Init(Section):
    """A model with random weights, and a tokenizer made from the words of a mixture."""

    init: Name = Field(description="key of `architectures`")
    tokenizer: Name = Field(description="key of `mixtures`: its words are the vocabulary")
    seed: int = Field(0, ge=0, lt=1000)
    evaluate: bool = False


class Train(Section):
    """A training of a parent on a mixture, or on some of its languages, parts or rows."""

    train: Name = Field(description="key of `training`")
    parent: Name
    mixture: Name
    languages: Names | None = Field(None, description="only the mixture's rows in these languages")
    parts: Names | None = Field(None, description="only these parts of the mixture")
    per_language: int | None = Field(None, ge=1, description="only so many rows per language, the fractions kept")
    reseed: int = Field(0, ge=0, lt=1000, description="another draw of all the training's random numbers")
    evaluate: bool = True


class Merge(Section):
    """A merge of parents."""

    merge: Name = Field(description="key of `merging`")
    parents: list[str] = Field(min_length=1, description="names, or patterns such as sft-mono-*")
    evaluate: bool = True


KINDS: dict[str, type[Section]] = {"load": Load, "init": Init, "train": Train, "merge": Merge}
Values = Annotated[list[Any], Field(min_length=1)]
Grid = Annotated[dict[str, Values] | list[dict[str, Any]], Field(min_length=1)]


class ModelRow(Section):
    """A row of the table as written: one of load, init, train, merge, with its keys; `experiment` expands it."""

    model_config = ConfigDict(extra="allow", frozen=True)

    for_: Grid | None = Field(
        None, alias="for", description="grid: {key: [values]} for all combinations, or a list of rows"
    )
    with_: dict[str, Any] = Field(
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

    mix: Name
    merge: Name
    matched: Literal["rows", "examples", "none"] = Field(
        description="rows: the parents' sets together are the mix; examples: as many seen; none: every table says so"
    )


# What comes out


Rows = dict[str, str | dict[str, str]]


class TableItem(Section):
    """A table of the paper, or one's own; `tables` describes its parts."""

    kind: Literal["cells", "contrasts", "verdicts", "judges", "corrected"] = "cells"
    caption: str
    rows: Rows = Field({}, description="label -> model, or label -> {column group: model}")
    contrasts: list[str] | None = Field(
        None, min_length=1, description="default: all that are declared (contrasts, verdicts)"
    )
    metrics: list[str] = Field(["harm", "win"], min_length=1, description=f"of {', '.join(METRICS)}")
    by: Literal["pooled", "language", "scope", "category"] = "pooled"
    languages: Names | None = Field(None, description="default: the experiment's")
    reference: str | None = Field(None, description="label of the row that others are compared with")
    judge: Name | None = Field(None, description="default: the first of `judges`")
    suites: Names | None = Field(None, description="read only these; default: all that its metrics read")


class FigureItem(Section):
    """A figure of the paper, or one's own; `figures` describes its parts."""

    kind: Literal["bars", "languages", "sweep", "curves"]
    caption: str
    rows: Rows = Field(min_length=1, description="label -> model, or label -> {group: model}")
    metrics: list[str] = Field(
        ["harm", "win"], min_length=1, description=f"of {', '.join(METRICS)}; curves: what trainers log"
    )
    languages: Names | None = Field(None, description="default: the experiment's")
    reference: str | None = Field(None, description="label of the row that others are compared with")
    x: dict[str, float] = Field({}, description="label -> position on the x axis (sweep)")
    xlabel: str = Field("", description="of the x axis (sweep)")
    colors: dict[str, str] = Field({}, description="label -> colour (sweep: group -> colour)")
    judge: Name | None = Field(None, description="default: the first of `judges`")
    suites: Names | None = Field(None, description="read only these; default: all that its metrics read")


class Bootstrap(Section):
    """The resampling behind every interval."""

    resamples: int = Field(2000, ge=100)
    seed: int = 0


class Assumption(Section):
    """What a plan must assume of two models' answers to one prompt before there are any."""

    variance: float = Field(
        gt=0, le=1, description="of a prompt's paired difference; yes or no: the share of prompts where models differ"
    )
    correlation: float = Field(0.3, ge=0, lt=1, description="of that difference between translations of one prompt")
    baseline: float = Field(1.0, gt=0, le=1, description="the baseline's rate, for metrics relative to it")
    seed_sd: float = Field(0.0, ge=0, description="points; sd over seeds of the difference between two trainings")
    matters: float = Field(gt=0, description="points; what cannot show so small a difference is marked everywhere")


class Power(Section):
    """What a claim needs: before a run for its plan, after it for the marks."""

    alpha: float = Field(0.05, gt=0, lt=1)
    power: float = Field(0.8, gt=0, lt=1)
    harm: Assumption = Assumption(variance=0.2, correlation=0.3, baseline=0.5, seed_sd=3.0, matters=7.0)
    win: Assumption = Assumption(variance=0.2, correlation=0.3, seed_sd=1.0, matters=4.0)


class Machine(Section):
    """What jobs run on: sizes what they ask for, and the quote. It changes no result and reruns nothing."""

    gpus_per_node: int = Field(0, ge=0, description="0: no job asks for a GPU")
    gpu_memory: float = Field(80.0, gt=0, description="GiB of each GPU")
    training: float | None = Field(
        None, gt=0, description="tokens per second and GPU that go forward and backward through a model"
    )
    generation: float | None = Field(None, gt=0, description="tokens of answers per second and GPU")
    merging: float = Field(0.1, gt=0, description="GB per second that a merge reads and writes")
    longest: float = Field(
        24.0, gt=0, description="hours that a job may run; a longer training goes on in its next attempt"
    )
    waiting_merges: int | None = Field(
        None,
        ge=0,
        description="how many temporary merges may lie waiting for their answers (keep_merges: false); those "
        "beyond are merged again when their turn comes; null: any number",
    )
    weights: str | None = Field(
        None, description="folder of the weights, where results/ has no room for them; may name $VARIABLES"
    )
    network: bool = Field(False, description="whether jobs reach the hub; false: all must be in its cache beforehand")


class Lengths(Section):
    """Tokens that a quote assumes of texts before there are any."""

    prompt: int = Field(150, ge=1)
    answer: int = Field(250, ge=1, description="at most what generation allows is counted")
    verdict: int = Field(30, ge=1, description="of a judge")


class Budget(Section):
    """What may be spent; a run that would exceed it does not start, and goes on when it is raised."""

    usd: float | None = Field(None, ge=0, description="on language models, with all that the ledger has spent before")
    gpu_hours: float | None = Field(None, ge=0, description="of the whole experiment, what is done already included")


class Config(Section):
    """An experiment."""

    experiment: Name = Field(description="its folder in results/")
    seeds: Annotated[list[Seed], DISTINCT, AfterValidator(_distinct)] = Field(
        description="each is a whole chain: base, trainings, merges"
    )
    languages: Names
    sources: dict[Name, Source]
    translators: dict[Name, Translator] = Field({}, description="what translates sources")
    mixtures: dict[Name, Mixture]
    suites: dict[Name, Suite]
    overlap: Overlap = Overlap()
    architectures: dict[Name, Architecture] = {}
    training: dict[Name, Training] = {}
    merging: dict[Name, Merging] = {}
    models: dict[str, ModelRow]
    baseline: Name = Field(description="the model that all are compared with")
    keep_merges: bool = Field(
        True, description="false: weights of merges that are nobody's parent go once they have answered"
    )
    contrasts: dict[str, Contrast] = Field({}, description="name -> a mix against a merge")
    generation: Generation
    llms: dict[Name, LLM] = Field({}, description="language models that write: rephrase, complete, translate")
    judges: dict[Name, Judge]
    machine: Machine = Machine()
    lengths: Lengths = Lengths()
    budget: Budget = Budget()
    bootstrap: Bootstrap = Bootstrap()
    power: Power = Power()
    tables: dict[Name, TableItem] = {}
    figures: dict[Name, FigureItem] = {}
    reproduces: str | None = Field(None, description="a file of published/ whose values stand beside ours")


if __name__ == "__main__":
    print(json.dumps(Config.model_json_schema(), indent=1, ensure_ascii=False))
