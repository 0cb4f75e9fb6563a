"""How models answer."""

from typing import Annotated, Literal

from pydantic import model_validator

from workflow_scripts.config.fields import execution, result
from workflow_scripts.config.section import Section, Seed


class Generation(Section):
    """How every model answers every suite."""

    engine: Literal["auto", "transformers", "vllm"] = result(
        "auto", neutral="auto", description="auto: vllm where it is installed with a GPU"
    )
    max_new_tokens: Annotated[int, result(ge=1)]
    batch_size: int = execution(64, neutral=64, ge=1, description="prompts per forward pass (transformers)")
    temperature: float = result(0.0, neutral=0.0, ge=0, description="0 is greedy decoding")
    top_p: float = result(1.0, neutral=1.0, gt=0, le=1)
    seed: Seed = result(0, neutral=0, description="of sampling")
    precision: Literal["float32", "bfloat16"] = result("bfloat16", neutral="bfloat16")
    threads: int = execution(1, neutral=1, ge=1, description="CPU threads")
    tensor_parallel: int = execution(1, neutral=1, ge=1, description="GPUs per model (vllm)")
    max_model_len: Annotated[int, result(ge=1, description="tokens of prompt and answer together")]

    @model_validator(mode="after")
    def _room_for_prompts(self) -> "Generation":
        if self.max_new_tokens >= self.max_model_len:
            raise ValueError(f"max_new_tokens {self.max_new_tokens} fill max_model_len; leave room for the prompt")
        return self
