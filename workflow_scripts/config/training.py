"""Settings of a training."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from workflow_scripts.config.fields import execution, result
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

    r: Annotated[int, result(ge=1, description="rank")]
    alpha: Annotated[float, result(gt=0, description="scale: the update is multiplied by alpha / r")]
    dropout: float = result(0.0, neutral=0.0, ge=0, lt=1)
    targets: list[str] | Literal["all-linear"] = result(
        "all-linear", neutral="all-linear", description="names of the adapted modules"
    )


class Training(Section):
    """Settings of TRL's SFTTrainer or DPOTrainer."""

    method: Annotated[Literal["sft", "dpo"], result()]
    epochs: float = result(1.0, neutral=1.0, gt=0)
    batch_size: Annotated[int, result(ge=1, description="examples per optimizer step, of all devices together")]
    accumulation: int = execution(
        1, neutral=1, ge=1, description="forward passes of each device that share an optimizer step"
    )
    processes: int = execution(
        1, neutral=1, ge=1, description="devices that train together; others give other bits, since sums differ"
    )
    parallel: Literal["ddp", "fsdp"] = execution(
        "ddp",
        neutral="ddp",
        description="of several processes: whole copies, or everything sharded; profiles/accelerate",
    )
    learning_rate: Annotated[float, result(ge=0)]
    scheduler: Scheduler = result("cosine", neutral="cosine", description="names of transformers' SchedulerType")
    scheduler_options: dict[str, float | int] = result(
        {}, neutral={}, description="of the scheduler, as num_cycles of cosine_with_restarts, power of polynomial"
    )
    warmup_steps: int = result(0, neutral=0, ge=0)
    max_grad_norm: float = result(1.0, neutral=1.0, gt=0)
    weight_decay: float = result(0.0, neutral=0.0, ge=0)
    optimizer: Optimizer = result(
        "adamw_torch", neutral="adamw_torch", description="names of transformers' OptimizerNames"
    )
    betas: tuple[Beta, Beta] = result(
        (0.9, 0.999), neutral=(0.9, 0.999), description="decay of the means of gradients and of squares (Adam)"
    )
    epsilon: float = result(1e-8, neutral=1e-8, gt=0, description="added to the root of squares (Adam)")
    max_length: Annotated[int, result(ge=1, description="tokens of prompt and completion together")]
    precision: Literal["float32", "bfloat16"] = result(
        "float32", neutral="float32", description="of forward and backward passes"
    )
    weights: Literal["float32", "bfloat16"] = result(
        "float32",
        neutral="float32",
        description="in which trained weights are held; bfloat16 takes half the memory and loses small steps",
    )
    gradient_checkpointing: bool = execution(False, neutral=False)
    packing: bool = result(False, neutral=False, only=("sft",), description="several examples per row (sft)")
    length_grouping: bool = result(False, neutral=False, description="batches of similar length")
    save_steps: int = execution(
        100, neutral=100, ge=1, description="optimizer steps between checkpoints, from which a killed job resumes"
    )
    logging_steps: int = execution(10, neutral=10, ge=1)
    threads: int = execution(1, neutral=1, ge=1, description="CPU threads: another number gives other bits")
    beta: float = result(0.1, neutral=0.1, only=("dpo",), gt=0, description="strength of the reference model (dpo)")
    loss_type: DpoLoss = result("sigmoid", neutral="sigmoid", only=("dpo",), description="of TRL's DPOTrainer (dpo)")
    precompute_reference: bool = execution(
        False,
        neutral=False,
        only=("dpo",),
        description="the reference's log-probabilities once, before training, not at every step (dpo)",
    )
    lora: Lora | None = result(None, neutral=None)
    trust_remote_code: bool = result(False, neutral=False)

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
