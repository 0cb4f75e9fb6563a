"""How models answer."""

from typing import Literal

from pydantic import Field, model_validator

from workflow_scripts.config.section import Section, Seed


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
