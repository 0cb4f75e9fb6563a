"""Settings of a training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workflow_scripts.config.section import Section

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
