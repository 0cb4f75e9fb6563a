"""Sizes of models and of work with them, from an architecture and settings alone: parameters, memory, disk, operations.

Used before a training starts, for the resources of jobs and for the forecast; so nothing heavy is imported.
All sizes are in bytes.  Sources of the formulas:

  ZeRO    Rajbhandari et al. 2020, arXiv 1910.02054, section 3: weights, gradients and the optimizer's states;
          section 5: what full sharding over n devices leaves on each, 1/n of all three
  ACT     Korthikanti et al. 2022, arXiv 2205.05198, section 4 (activations of a layer) and 5 (recomputing them); the
          coefficients here are Cohere's parallel block with a gated MLP, held against what autograd saves in the tests
  HEAD    TRL 1.16's fused head (trl/kernels/chunked_logprob.py), which never holds all logits but tiles of 4,096 tokens
          by 32,768 words; full logits of 256,000 words in float32 would be 1 MB a token, more than all else together
  PALM    Chowdhery et al. 2022, arXiv 2204.02311, appendix B: operations of a token, and model FLOP utilisation
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from workflow_scripts.models import shape
from workflow_scripts.models.shape import Architecture

GIB = 1024**3
CUDA_CONTEXT = 1.5 * GIB  # with its libraries, and what the allocator loses to gaps
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
PAIRED = ("dpo", "kto")  # methods of which a row has two answers, and whose loss is measured against a reference
COUNTS = (1, 2, 4, 8, 16, 32, 64)  # numbers of devices, and of forward passes per step, that are advised

Settings = Mapping[str, Any]  # of `training` or `generation`, every key stated


class _Optimizer(NamedTuple):
    states: float  # numbers kept per trained parameter
    width: int | None  # bytes of each; None: as the weights
    temporary: bool  # does a step need room for another copy of the trained weights?


# Names of transformers' OptimizerNames; torch's `foreach` steps hold intermediates as large as the parameters.
OPTIMIZERS = {
    "adamw_torch": _Optimizer(2, None, True),
    "adamw_torch_fused": _Optimizer(2, None, False),
    "adamw_8bit": _Optimizer(2, 1, False),
    "paged_adamw_8bit": _Optimizer(2, 1, False),
    "paged_adamw_32bit": _Optimizer(2, 4, False),
    "adafactor": _Optimizer(0.01, 4, False),  # a row and a column of each matrix
    "lion_8bit": _Optimizer(1, 1, False),
    "paged_lion_8bit": _Optimizer(1, 1, False),
    "adagrad": _Optimizer(1, None, True),
    "rmsprop": _Optimizer(1, None, True),
    "sgd": _Optimizer(0, None, False),
}


class Memory(NamedTuple):
    """What one device holds, in bytes."""

    weights: float
    gradients: float = 0
    optimizer: float = 0
    reference: float = 0  # DPO's frozen model
    activations: float = 0  # saved for the backward pass, with the copies of weights in a lower precision
    head: float = 0  # tiles of logits, and the output layer's gradient
    step: float = 0  # intermediates of the optimizer, when activations are gone
    cache: float = 0  # keys and values of the answers in flight

    @property
    def total(self) -> float:
        """At the highest point: activations and the optimizer's intermediates do not coexist."""
        kept = self.weights + self.gradients + self.optimizer + self.reference + self.cache
        return kept + max(self.activations + self.head, self.step) + CUDA_CONTEXT

    def largest(self) -> str:
        """The parts that are 5% of it or more, as `weights 30, gradients 30 GiB`."""
        parts = {name: value / GIB for name, value in self._asdict().items() if value >= 0.05 * self.total}
        return ", ".join(f"{name} {value:.{0 if value >= 10 else 1}f}" for name, value in parts.items()) + " GiB"


def parameters(architecture: Architecture) -> int:
    """Parameters of a model, estimated from its config.json alone; tied embeddings count once.

    >>> aya23 = dict(hidden_size=4096, intermediate_size=14336, num_hidden_layers=32, num_attention_heads=32,
    ...              num_key_value_heads=8, vocab_size=256000)
    >>> parameters(aya23)
    8028033024
    """
    return shape.of(architecture).parameters


def lora_parameters(architecture: Architecture, lora: Mapping[str, Any]) -> int:
    """Parameters of adapters of rank r: r (in + out) of each adapted matrix (arXiv 2106.09685, section 4)."""
    sizes = shape.of(architecture)
    h, i = sizes.hidden, sizes.intermediate
    if lora["targets"] == "all-linear":
        return int(lora["r"] * sizes.layers * sizes.sides)
    sides = {
        "q_proj": h + sizes.queries,
        "k_proj": h + sizes.keys,
        "v_proj": h + sizes.keys,
        "o_proj": sizes.queries + h,
    }
    return int(lora["r"]) * sizes.layers * sum(sides.get(target, h + i) for target in lora["targets"])


def weights_dtype(settings: Settings) -> str:
    """The data type in which a training holds the weights: frozen ones follow the precision, trained ones `weights`."""
    if settings["precision"] == "bfloat16" and settings["lora"]:
        return "bfloat16"
    return str(settings.get("weights", "float32"))


def micro_batch(settings: Settings) -> int:
    """Examples in one forward pass of one device; `batch_size` is that of a step, of all devices together."""
    return int(settings["batch_size"] // (settings["accumulation"] * settings.get("processes", 1)))


def training_memory(architecture: Architecture, settings: Settings, counted: int | None = None) -> Memory:
    """What each device holds in a training, when its rows are as long as `max_length`.

    Args:
        architecture: see above.
        settings: of the config's `training`, every key stated: method, batch_size, accumulation, processes, parallel,
            optimizer, max_length, precision, weights, gradient_checkpointing, lora, precompute_reference.
        counted: parameters, where they were counted; else they are estimated.

    Weights, gradients and optimizer: ZeRO. Under `ddp` each device holds all; under `fsdp` 1/n, and besides,
    gathered, the embeddings and two layers. In bfloat16, weights held in float32 are cast once per forward pass, and
    the casts are saved: 2 bytes a parameter. Activations: ACT. Logits: HEAD.
    """
    sizes, count = shape.of(architecture), counted or parameters(architecture)
    n = settings.get("processes", 1)
    is_sharded = n > 1 and settings.get("parallel") == "fsdp"
    share = n if is_sharded else 1
    held = BYTES[weights_dtype(settings)]
    compute = BYTES[settings["precision"]]
    lora = settings["lora"]
    trained = lora_parameters(architecture, lora) if lora else count
    width = 4 if lora else held  # adapters are kept in float32
    optimizer = OPTIMIZERS[settings["optimizer"]]
    is_paired = settings["method"] in PAIRED
    gradients = width * trained * (2 if n > 1 and not is_sharded else 1)  # DDP reduces copies of them, in buckets
    gathered = (sizes.embeddings + 2 * sizes.layer) * (compute + 4) if is_sharded else 0
    casts = 2 * count if compute < held and not is_sharded else 0
    tokens = micro_batch(settings) * settings["max_length"] * (2 if is_paired else 1)
    return Memory(
        weights=held * count / share + (4 * trained / share if lora else 0),
        gradients=gradients / share,
        optimizer=optimizer.states * (optimizer.width or width) * trained / share,
        reference=held * count / share if is_paired and not lora and not settings.get("precompute_reference") else 0,
        activations=tokens * _activations(sizes, settings) + casts + gathered,
        head=_head(sizes, tokens, compute, trains_head=not lora),
        step=width * trained / share if optimizer.temporary else 0,
    )


def _activations(sizes: shape.Shape, settings: Settings) -> float:
    """Bytes per token that autograd saves, with attention that keeps no scores (SDPA, flash).

    A layer saves, in widths of h (hidden), q (queries), k (keys or values), i (intermediate): the norm's three float32
    tensors; the inputs of the linear layers, 5h as one tensor or (cast per use) five, and q; q, k, v of the attention;
    and four of the MLP.  ACT's 34 bsh is the same count for a block with two norms, dropout and an ungated MLP.
    """
    h, i, q, k = sizes.hidden, sizes.intermediate, sizes.queries, sizes.keys
    if settings["precision"] == "bfloat16":
        layer = 12 * h + 2 * (5 * h + 2 * q + 2 * k + 4 * i)
    else:
        layer = 12 * h + 4 * (h + 2 * q + 2 * k + 4 * i)
    layer += 4 * (sizes.heads + 1)
    if settings["lora"] and settings["lora"]["dropout"]:
        layer += 4 * (6 * h + i)  # each adapter's own draw of its input
    ends = 16 * h  # embeddings, the last norm
    if settings["gradient_checkpointing"]:  # ACT, section 5: the inputs of layers, and one layer at a time
        return BYTES[weights_dtype(settings)] * h * sizes.layers + layer + ends
    return layer * sizes.layers + ends


def _head(sizes: shape.Shape, tokens: int, compute: int, trains_head: bool) -> float:
    """HEAD: a tile of logits; gradients of hidden states and, where it is trained, of the output layer, in float32."""
    tile = min(tokens, 4096) * min(sizes.vocabulary, 32768)
    return compute * tile + 4 * tokens * sizes.hidden + (4 * sizes.embeddings if trains_head else 0)


def shortage(
    architecture: Architecture,
    settings: Settings,
    device: float,
    devices: int | None = None,
    counted: int | None = None,
) -> str | None:
    """How much memory each device lacks for a training, and what would fit, in one line; None where it fits.

    Args:
        architecture: see above.
        settings: as for `training_memory`.
        device: bytes of one device.
        devices: how many there are at most; None: unknown.
        counted: as for `training_memory`.
    """
    memory = training_memory(architecture, settings, counted)
    if memory.total <= device:
        return None
    need = f"needs about {memory.total / GIB:.0f} GiB per device ({memory.largest()}), which has {device / GIB:.0f}"
    ways = [f"{way} ({size / GIB:.0f} GiB)" for way, size in _smaller(architecture, settings, device, devices, counted)]
    return f"{need}; {'what fits: ' + ', or '.join(ways) if ways else 'no smaller setting of it fits such a device'}"


def _smaller(
    architecture: Architecture, settings: Settings, device: float, devices: int | None, counted: int | None
) -> list[tuple[str, float]]:
    """Changes of the settings that fit, the smallest change of what is learned first; at most four."""
    lean: dict[str, Any] = {**settings, "gradient_checkpointing": True}
    batch, processes = settings["batch_size"], settings.get("processes", 1)
    least = {**lean, "accumulation": batch // processes} if batch % processes == 0 else lean
    changes: list[tuple[str, dict[str, Any]]] = []
    if not settings["gradient_checkpointing"]:
        changes.append(("gradient_checkpointing: true", lean))
    if least["accumulation"] > settings["accumulation"]:
        small = f"accumulation: {least['accumulation']} with gradient_checkpointing"
        changes.append((small, least))
    if settings["method"] == "dpo" and not settings["lora"] and not settings.get("precompute_reference"):
        changes.append(("precompute_reference: true", {**lean, "precompute_reference": True}))
        lean["precompute_reference"] = True
    for n in COUNTS:
        if n > processes and (devices is None or n <= devices) and batch % n == 0:
            sharded = {**lean, "processes": n, "parallel": "fsdp", "accumulation": 1}
            tried = (a for a in COUNTS if batch % (n * a) == 0)
            fitting = ({**sharded, "accumulation": a} for a in tried)
            found = next((one for one in fitting if _fits(architecture, one, device, counted)), None)
            accumulation = found["accumulation"] if found else 0
            if accumulation:
                sharded["accumulation"] = accumulation
                change = f"parallel: fsdp with processes: {n}, accumulation: {accumulation}, gradient_checkpointing"
                changes.append((change, sharded))
                break
    eight_bit = {**least, "precision": "bfloat16", "weights": "bfloat16", "optimizer": "adamw_8bit"}
    if not settings["lora"]:
        lora = {"r": 16, "alpha": 32, "dropout": 0.0, "targets": "all-linear"}
        changes.append(("lora with precision: bfloat16", {**least, "precision": "bfloat16", "lora": lora}))
        changes.append(("weights: bfloat16 with optimizer: adamw_8bit", eight_bit))
    sizes = [(change, training_memory(architecture, changed, counted).total) for change, changed in changes]
    return [(change, size) for change, size in sizes if size <= device][:4]


def _fits(architecture: Architecture, settings: Settings, device: float, counted: int | None) -> bool:
    return training_memory(architecture, settings, counted).total <= device


def generation_memory(architecture: Architecture, settings: Settings, devices: int = 1) -> Memory:
    """What each device holds when answering: its part of the weights, and keys and values of a whole batch.

    2 numbers per layer and key width for each token of `batch_size` answers of `max_model_len`; logits of the batch's
    last tokens, in the engine's precision and in float32.  vLLM takes what is left of the device as cache, and needs
    that of one answer at the least.
    """
    sizes, width = shape.of(architecture), BYTES[settings["precision"]]
    tokens = settings["batch_size"] * settings["max_model_len"]
    return Memory(
        weights=width * parameters(architecture) / devices,
        cache=2 * sizes.attending * sizes.keys * width * tokens / devices,
        head=settings["batch_size"] * sizes.vocabulary * (width + 4),
    )


def merge_memory(architecture: Architecture, parents: int, workers: int = 1) -> float:
    """Main memory of a merge that writes tensor by tensor: the largest tensor, of every parent, base and result.

    In float32 and with as much again for intermediates (task vectors, masks), for each worker.
    """
    sizes = shape.of(architecture)
    others = max(sizes.hidden * sizes.intermediate, sizes.largest if sizes.largest != sizes.embeddings else 0)
    return 8.0 * (parents + 2) * (sizes.largest + others * (workers - 1)) + 1 * GIB


def model_bytes(architecture: Architecture, dtype: str = "bfloat16") -> int:
    """Bytes of a model's weights on disk."""
    return BYTES[dtype] * parameters(architecture)


class Disk(NamedTuple):
    """Bytes on disk of a training."""

    kept: float  # the model
    peak: float  # with two checkpoints, since the older goes when the newer is whole


def training_disk(architecture: Architecture, settings: Settings, dtype: str = "bfloat16") -> Disk:
    """What a training writes; a checkpoint holds trained weights and the optimizer's states (ZeRO).

    Args:
        architecture: see above.
        settings: as for `training_memory`.
        dtype: of the parent's weights, and so of the model that is written.
    """
    trained = lora_parameters(architecture, settings["lora"]) if settings["lora"] else parameters(architecture)
    width = 4 if settings["lora"] else BYTES[weights_dtype(settings)]
    optimizer = OPTIMIZERS[settings["optimizer"]]
    checkpoint = trained * (width + optimizer.states * (optimizer.width or width))
    kept = model_bytes(architecture, dtype)
    return Disk(kept, kept + 2 * checkpoint)


def training_flops(architecture: Architecture, tokens: float, length: float, full: bool = True) -> float:
    """Floating-point operations that a training of `tokens` takes by definition, recomputation not counted (PALM).

    6 per parameter and token (2 forward, 4 backward) and 12 per layer, query width and token of context; without
    gradients of the weights (LoRA) 4 and 8.  Embeddings that are only looked up are no part; the output layer is.

    Args:
        architecture: see above.
        tokens: of forward and backward passes.
        length: mean tokens of a row.
        full: whether all weights are trained.
    """
    return tokens * (6 if full else 4) * _macs(architecture, length)


def generation_flops(architecture: Architecture, tokens: float, length: float) -> float:
    """Operations of a forward pass over `tokens`, with `length` tokens of context on average (PALM)."""
    return tokens * 2 * _macs(architecture, length)


def _macs(architecture: Architecture, length: float) -> float:
    sizes = shape.of(architecture)
    matrices = sizes.layers * sizes.active + sizes.embeddings
    return matrices + 2 * sizes.attending * sizes.queries * length
