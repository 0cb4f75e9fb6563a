"""Language models by their litellm names, and judges."""

from pydantic import Field

from workflow_scripts.config.section import Fraction, Name, Names, Section


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
