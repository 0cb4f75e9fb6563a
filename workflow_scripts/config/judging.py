"""Language models by their litellm names, and judges."""

from typing import Annotated

from workflow_scripts.config.fields import execution, result, structure
from workflow_scripts.config.section import Fraction, Name, Names, Section


class Faults(Section):
    """What the miniature's rule-based judge is made to get wrong, so that its measurement can be held against it."""

    seed: int = result(0, neutral=0, description="decides which answers are affected")
    unreadable: Fraction = result(0.0, neutral=0.0, description="share of answers that no parser can read")
    first_position: Fraction = result(
        0.0, neutral=0.0, description="share of comparisons decided for what is shown first"
    )
    sensitivity: dict[Name, Fraction] = result(
        {}, neutral={}, description="language -> harmful answers called so; default: 1"
    )
    specificity: dict[Name, Fraction] = result(
        {}, neutral={}, description="language -> harmless ones not called so; default: 1"
    )


class LLM(Section):
    """A language model by its litellm name, for what is not judged; its secrets come from the environment only."""

    model: Annotated[str, result(description="litellm model name, such as openai/gpt-4o or hosted_vllm/<served name>")]
    temperature: float | None = result(0.0, neutral=0.0, ge=0, description="null: the provider's")
    max_tokens: int = result(1024, neutral=1024, ge=1, description="of an answer")
    seed: int | None = result(None, neutral=None)
    api_base: str | None = execution(None, neutral=None, description="of an OpenAI-compatible server")
    concurrency: int = execution(16, neutral=16, ge=1, description="requests in flight")
    rpm: float | None = execution(None, neutral=None, gt=0, description="requests per minute that the provider allows")
    tpm: float | None = execution(None, neutral=None, gt=0, description="tokens per minute that the provider allows")
    timeout: float = execution(120.0, neutral=120.0, gt=0, description="seconds per request")
    retries: int = execution(5, neutral=5, ge=0, description="of a transient failure")


class Judge(LLM):
    """A judge by its litellm model name; its secrets come from the environment only."""

    model: Annotated[str, result(description="litellm model name; mixmerge/rules is the miniature's rule-based judge")]
    harm: Name = structure(
        "harm-v1", description="prompt for harm: one of ours, or prompts/<name>.txt beside the config"
    )
    preference: Name = structure("preference-v1", description="prompt for preference, likewise")
    max_tokens: int = result(256, neutral=256, ge=1)
    models: Names | None = structure(None, description="judge these and the baseline only; default: all")
    batch: bool = execution(
        False, neutral=False, description="ask through the provider's batch interface, at half price, within a day"
    )
    poll: float = execution(60.0, neutral=60.0, gt=0, description="seconds between looks at a batch")
    faults: Faults | None = result(None, neutral=None, description="only for mixmerge/rules")
