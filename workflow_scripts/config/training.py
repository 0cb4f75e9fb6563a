"""Settings of a training."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, Field, model_validator

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
KtoLoss = Literal["kto", "apo_zero_unpaired"]
LOSSES = {"dpo": get_args(DpoLoss), "kto": get_args(KtoLoss)}
SMOOTHED = ("robust", "exo_pair", "aot")  # the losses that read `label_smoothing`
Share = Annotated[int | float, AfterValidator(lambda value: int(value) if value == int(value) else value)]
Beta = Annotated[float, Field(ge=0, lt=1)]


class Lora(Section):
    """Low-rank adaptation (arXiv 2106.09685); merged into full weights when training ends."""

    r: Annotated[int, result(ge=1, description="rank")]
    alpha: Annotated[float, result(gt=0, description="scale: the update is multiplied by alpha / r")]
    dropout: float = result(0.0, neutral=0.0, ge=0, lt=1)
    targets: list[str] | Literal["all-linear"] = result(
        "all-linear", neutral="all-linear", description="names of the adapted modules"
    )
    target_parameters: list[str] | None = result(
        None, neutral=None, description="names of adapted parameters that are no modules, as those of experts"
    )
    rank_pattern: dict[str, int] = result({}, neutral={}, description="other ranks: ends of modules' names -> rank")
    alpha_pattern: dict[str, float] = result({}, neutral={}, description="other scales, likewise")
    use_rslora: bool = result(False, neutral=False, description="scale by alpha over the root of r (arXiv 2312.03732)")
    use_dora: bool = result(False, neutral=False, description="magnitudes apart from directions (arXiv 2402.09353)")


class Training(Section):
    """Settings of TRL's SFTTrainer, DPOTrainer or KTOTrainer, by TRL's names for them."""

    method: Annotated[Literal["sft", "dpo", "kto"], result()]
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
    warmup_steps: Share = result(0, neutral=0, ge=0, description="below 1: that share of all steps")
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
    attn_implementation: str | None = result(
        None,
        neutral=None,
        pattern=r"^[A-Za-z0-9_./-]+$",
        description="eager, sdpa, flash_attention_2, ...: names of transformers; null: its own choice for the model",
    )
    gradient_checkpointing: bool = execution(False, neutral=False)
    packing: bool = result(False, neutral=False, only=("sft",), description="several examples per row (sft)")
    length_grouping: bool = result(False, neutral=False, description="batches of similar length")
    save_steps: int = execution(
        100, neutral=100, ge=1, description="optimizer steps between checkpoints, from which a killed job resumes"
    )
    logging_steps: int = execution(10, neutral=10, ge=1)
    threads: int = execution(1, neutral=1, ge=1, description="CPU threads: another number gives other bits")
    beta: float = result(
        0.1, neutral=0.1, only=("dpo", "kto"), gt=0, description="strength of the reference model (dpo, kto)"
    )
    loss_type: DpoLoss | KtoLoss = result(
        "sigmoid", neutral="sigmoid", only=("dpo", "kto"), description="of TRL's DPOTrainer; of kto by default kto"
    )
    label_smoothing: float | None = result(
        None,
        neutral=None,
        only=("dpo",),
        ge=0,
        lt=0.5,
        description=f"probability that a pair is the wrong way round (losses {', '.join(SMOOTHED)})",
    )
    desirable_weight: float = result(1.0, neutral=1.0, only=("kto",), gt=0, description="of completions (kto)")
    undesirable_weight: float = result(1.0, neutral=1.0, only=("kto",), gt=0, description="of rejected answers (kto)")
    precompute_reference: bool = execution(
        False,
        neutral=False,
        only=("dpo",),
        description="the reference's log-probabilities once, before training, not at every step (dpo)",
    )
    neftune_noise_alpha: float | None = result(
        None, neutral=None, gt=0, description="noise on the embeddings (arXiv 2310.05914); null: none"
    )
    router_aux_loss_coef: float | None = result(
        None,
        neutral=None,
        ge=0,
        description="weight of the loss that balances experts, of each forward pass by itself; null: the model's own",
    )
    lora: Lora | None = result(None, neutral=None)
    trust_remote_code: bool = result(
        False, neutral=False, description="changes nothing: consent is that of the row which loads a model"
    )

    @model_validator(mode="after")
    def _batches_split(self) -> "Training":
        if self.batch_size % (self.accumulation * self.processes):
            times = f" times processes {self.processes}" if self.processes > 1 else ""
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of accumulation {self.accumulation}{times}"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _loss_of_the_method(cls, given: Any) -> Any:
        is_kto = isinstance(given, dict) and given.get("method") == "kto"
        return {"loss_type": "kto", **given} if is_kto else given

    @model_validator(mode="after")
    def _losses_are_known(self) -> "Training":
        if self.method in LOSSES and self.loss_type not in LOSSES[self.method]:
            raise ValueError(
                f"loss_type {self.loss_type} is none of {self.method}; use one of {', '.join(LOSSES[self.method])}"
            )
        if self.label_smoothing is not None and (self.method != "dpo" or self.loss_type not in SMOOTHED):
            what = f"method {self.method}" if self.method != "dpo" else f"loss_type {self.loss_type}"
            raise ValueError(f"label_smoothing is not read by {what}, only by {', '.join(SMOOTHED)} of dpo; remove it")
        if self.method == "kto" and self.length_grouping:
            raise ValueError("length_grouping would part answers from those that kto sets them against; remove it")
        if self.method == "kto" and self.batch_size // (self.accumulation * self.processes) < 2:
            raise ValueError("kto needs two rows in a forward pass; raise batch_size, or lower accumulation")
        return self

    @model_validator(mode="after")
    def _warmup_is_steps_or_a_share(self) -> "Training":
        if self.warmup_steps > 1 and self.warmup_steps != int(self.warmup_steps):
            raise ValueError(f"warmup_steps {self.warmup_steps} is neither a number of steps nor a share below 1")
        return self

    @model_validator(mode="after")
    def _weights_are_held(self) -> "Training":
        if self.weights == "bfloat16" and self.precision == "float32":
            raise ValueError("weights: bfloat16 needs precision: bfloat16; set both")
        if self.weights == "bfloat16" and self.processes > 1 and self.parallel == "fsdp" and not self.lora:
            raise ValueError("weights: bfloat16 is not kept under parallel: fsdp, which holds float32; remove it")
        return self
