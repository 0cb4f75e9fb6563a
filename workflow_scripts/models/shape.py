"""The sizes of a network by its config.json: how many parameters it has, and where.

An estimate by formulas, since nothing heavy may be imported while the Snakefile is parsed; `counting` counts exactly
where torch is at hand.  Tests hold it against what transformers builds for the published members of 36 families: dense
decoders, mixtures of experts, language models in wrappers, hybrids with state spaces.  Norms and biases, which are less
than 0.2% of a model, are left out but for those of Cohere, whose count is exact.

Sources: the modeling files of transformers 5.19; latent attention is that of arXiv 2405.04434, section 2.1.2.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

Architecture = Mapping[str, Any]  # of config.json, or of the config's `architectures` with a `vocab_size`

# Kinds whose output head is the embedding again, and whose MLPs are two matrices rather than three, where config.json
# does not say: defaults of transformers' configuration classes.
TIED = frozenset(
    {
        *("bloom", "cohere", "cohere2", "falcon", "gemma", "gemma2", "gemma3", "gemma3_text", "gpt2", "gpt_bigcode"),
        *("gpt_neo", "lfm2", "mamba", "mamba2", "mpt", "opt", "recurrent_gemma", "smollm3", "starcoder2"),
    }
)
UNGATED = frozenset(
    {
        *("bloom", "codegen", "falcon", "gpt2", "gpt_bigcode", "gpt_neo", "gpt_neox", "gptj", "mpt", "nemotron"),
        *("nemotron_h", "opt", "persimmon", "phi", "starcoder2"),
    }
)
FUSED = frozenset({"gpt_oss", "granitemoe", "granitemoehybrid", "granitemoeshared"})  # experts are one tensor on disk
PLACED = frozenset({"gpt2", "gpt_bigcode", "gpt_neo", "opt"})  # kinds with an embedding of positions
STATEFUL = frozenset({"linear_attention", "conv", "mamba", "recurrent"})  # layers that keep a state, and no keys
# Other spellings of keys, and what absent ones are for language models in wrappers, which state little.
SPELLINGS = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads"),
    "intermediate_size": ("ffn_dim", "n_inner", "ffn_hidden_size"),
    "num_key_value_heads": ("num_kv_heads",),
    "experts": ("num_local_experts", "num_experts", "n_routed_experts"),
}
ABSENT: dict[str, dict[str, Any]] = {
    "gemma3_text": {"num_attention_heads": 8, "num_key_value_heads": 4, "head_dim": 256, "vocab_size": 262208},
    "gemma2": {"head_dim": 256},
    "qwen3_5_text": {"full_attention_interval": 4},
}


class Shape(NamedTuple):
    """Sizes of a network; of mixtures of experts `active` counts what one token goes through.

    Attributes:
        hidden: width of a token between layers.
        intermediate: width of the MLPs that a token goes through, together.
        layers: how many.
        attending: layers that keep keys and values.
        heads: of an attention.
        keys: numbers that a token leaves as keys in a layer's cache, and as many again as values.
        queries: width of all queries together.
        vocabulary: rows of the embedding.
        tied: whether the output head is the embedding again.
        width: of the embedding, before it is mapped to the hidden one where that is another.
        layer: parameters of a layer, in the mean.
        active: of these, those that a token goes through.
        sides: sum of inputs and outputs of a layer's linear maps, by which adapters are as large.
        outside: parameters in no layer of the language model, but for embedding and output head.
        largest: numbers of the largest tensor on disk.
    """

    hidden: int
    intermediate: int
    layers: int
    attending: int
    heads: int
    keys: int
    queries: int
    vocabulary: int
    tied: bool
    width: int
    layer: float
    active: float
    sides: float
    outside: int
    largest: int

    @property
    def embeddings(self) -> int:
        """Parameters of the embedding."""
        return self.vocabulary * self.width

    @property
    def parameters(self) -> int:
        """All of them; tied embeddings count once."""
        return round(self.layers * self.layer) + self.embeddings * (1 if self.tied else 2) + self.outside


def of(architecture: Architecture) -> Shape:
    """The shape of a network.

    Raises:
        KeyError: the architecture does not state its sizes.
    """
    inner = architecture.get("text_config")
    text = _Keys({**architecture, **inner} if isinstance(inner, Mapping) else architecture)
    kinds = text.layer_kinds()
    parts = [_layer(text, index, kind) for index, kind in enumerate(kinds)]
    layers, hidden = len(parts), text["hidden_size"]
    heads = text.number("num_attention_heads", 1)
    width = text.number("head_dim", 0) or hidden // heads
    queries, keys = width * heads, width * text.keys(heads)
    if rank := text.number("kv_lora_rank", 0):
        queries, keys = (
            heads * (text["qk_nope_head_dim"] + text["qk_rope_head_dim"]),
            (rank + text["qk_rope_head_dim"]) // 2,
        )
    total = sum(part.size for part in parts)
    vocabulary, embedded = text["vocab_size"], text.number("word_embed_proj_dim", hidden)
    outside = hidden + _eyes(architecture, hidden) + (2 * embedded * hidden if embedded != hidden else 0)
    if text.kind in PLACED:
        outside += hidden * (text.number("n_positions", 0) or text["max_position_embeddings"])
    return Shape(
        hidden=hidden,
        intermediate=round(sum(part.wide for part in parts) / layers),
        layers=layers,
        attending=sum(kind not in STATEFUL for kind in kinds),
        heads=heads,
        keys=keys,
        queries=queries,
        vocabulary=vocabulary,
        tied=text.tied,
        width=embedded,
        layer=total / layers,
        active=sum(part.active for part in parts) / layers,
        sides=sum(part.sides for part in parts) / layers,
        outside=outside,
        largest=max(vocabulary * embedded, *(part.largest for part in parts)),
    )


def is_known(architecture: Architecture) -> bool:
    """Whether an architecture states its sizes."""
    try:
        of(architecture)
    except (AttributeError, IndexError, KeyError, OverflowError, TypeError, ValueError, ZeroDivisionError):
        return False
    return True


class _Keys:
    """The keys of a language model's config, in whatever spelling they are stated."""

    def __init__(self, given: Architecture) -> None:
        self.kind = str(given.get("model_type", "cohere"))  # what `init` makes
        self.given = {**ABSENT.get(self.kind, {}), **{key: value for key, value in given.items() if value is not None}}

    def __getitem__(self, key: str) -> int:
        for name in (key, *SPELLINGS.get(key, ())):
            if name in self.given:
                value = self.given[name]
                return int(value[0] if isinstance(value, list) else value)
        raise KeyError(key)

    def number(self, key: str, absent: int) -> int:
        try:
            return self[key]
        except KeyError:
            return absent

    def flag(self, key: str) -> bool:
        return bool(self.given.get(key))

    def keys(self, heads: int) -> int:
        """Heads of keys, and of values."""
        if self.kind == "falcon" and not self.flag("new_decoder_architecture"):
            return 1 if self.given.get("multi_query", True) else heads
        return self.number("num_key_value_heads", heads)

    @property
    def tied(self) -> bool:
        return bool(self.given.get("tie_word_embeddings", self.kind in TIED))

    @property
    def intermediate(self) -> int:
        found = self.number("intermediate_size", 4 * self["hidden_size"])
        if self.kind == "lfm2" and self.given.get("block_auto_adjust_ff_dim", True):
            multiple = self.number("block_multiple_of", 256)
            found = int(float(self.given.get("block_ffn_dim_multiplier", 1.0)) * int(2 * found / 3))
            found = -(-found // multiple) * multiple
        return found

    def layer_kinds(self) -> list[str]:
        """What each layer mixes tokens by: attention, linear_attention, conv, mamba, recurrent or parallel (both)."""
        layers = self["num_hidden_layers"]
        if self.kind.startswith(("mamba", "falcon_mamba")):
            return ["mamba"] * layers
        if self.kind == "falcon_h1":
            return ["parallel"] * layers
        if isinstance(stated := self.given.get("layer_types"), list) and len(stated) == layers:
            return [str(kind) for kind in stated]
        if isinstance(cycle := self.given.get("block_types"), list) and cycle:
            return [str(cycle[index % len(cycle)]) for index in range(layers)]
        if isinstance(full := self.given.get("full_attn_idxs"), list):
            return ["attention" if index in full else "conv" for index in range(layers)]
        if every := self.number("full_attention_interval", 0):
            return ["attention" if (index + 1) % every == 0 else "linear_attention" for index in range(layers)]
        return ["attention"] * layers


class _Part(NamedTuple):
    """Parameters of a layer or of a part of it, those that one token goes through, and so on as in `Shape`."""

    size: float = 0
    active: float = 0
    sides: float = 0
    largest: int = 0
    wide: int = 0

    def and_(self, other: "_Part") -> "_Part":
        return _Part(
            self.size + other.size,
            self.active + other.active,
            self.sides + other.sides,
            max(self.largest, other.largest),
            self.wide + other.wide,
        )


def _linear(*sides: tuple[int, int]) -> _Part:
    """Linear maps of given inputs and outputs."""
    size, ends = sum(a * b for a, b in sides), sum(a + b for a, b in sides)
    return _Part(size, size, ends, max(a * b for a, b in sides))


def _layer(text: _Keys, index: int, kind: str) -> _Part:
    """A layer: what mixes tokens, the MLP or experts, and norms."""
    h = text["hidden_size"]
    mixers = {"linear_attention": [_linear_attention], "conv": [_convolution], "mamba": [_state_space]}
    mixers |= {"recurrent": [_recurrence], "parallel": [_attention, _state_space]}
    found = _Part()
    for mixer in mixers.get(kind, [_attention]):
        found = found.and_(mixer(text, h))
    if not text.kind.startswith(("mamba", "falcon_mamba")):
        found = found.and_(_mlp(text, h, index))
    norms = h * (1 if text.kind in ("cohere", "cohere2") else 2)
    return found.and_(_Part(norms, norms))


def _attention(text: _Keys, h: int) -> _Part:
    heads = text["num_attention_heads"]
    if rank := text.number("kv_lora_rank", 0):
        rope, plain, value = text["qk_rope_head_dim"], text["qk_nope_head_dim"], text["v_head_dim"]
        q = text.number("q_lora_rank", 0)
        queries = [(h, q), (q, heads * (rope + plain))] if q else [(h, heads * (rope + plain))]
        return _linear(*queries, (h, rank + rope), (rank, heads * (plain + value)), (heads * value, h))
    width = text.number("head_dim", 0) or h // heads
    q, k = width * heads, width * text.keys(heads)
    gates = 2 if text.flag("attn_output_gate") else 1
    biases = text.flag("attention_bias") * (q + 2 * k + h) + text.flag("use_qk_norm") * (q + k)
    return _linear((h, gates * q), (h, k), (h, k), (q, h)).and_(_Part(biases, biases))


def _linear_attention(text: _Keys, h: int) -> _Part:
    keys = text["linear_key_head_dim"] * text["linear_num_key_heads"]
    values = text["linear_value_head_dim"] * text["linear_num_value_heads"]
    gates = 2 * text["linear_num_value_heads"]
    convolved = (2 * keys + values) * text.number("linear_conv_kernel_dim", 4)
    return _linear((h, 2 * keys + 2 * values), (h, gates), (values, h)).and_(_Part(convolved, convolved))


def _convolution(text: _Keys, h: int) -> _Part:
    convolved = h * text.number("conv_L_cache", 3)
    return _linear((h, 3 * h), (h, h)).and_(_Part(convolved, convolved))


def _state_space(text: _Keys, h: int) -> _Part:
    """Mamba 2 (arXiv 2405.21060), by the names of its own config and of hybrids'."""
    is_alone = text.kind.startswith("mamba")
    heads = text["num_heads"] if is_alone else text["mamba_n_heads"]
    state = text["state_size"] if is_alone else text["mamba_d_state"]
    width = text["head_dim"] if is_alone else text.number("mamba_d_head", 0) or 2 * h // heads
    groups = text.number("n_groups", 1) if is_alone else text.number("mamba_n_groups", 1)
    inner = text.number("mamba_d_ssm", 0) or heads * width
    mixed = inner + 2 * groups * state
    convolved = mixed * text.number("conv_kernel" if is_alone else "mamba_d_conv", 4)
    return _linear((h, inner + mixed + heads), (inner, h)).and_(_Part(convolved, convolved))


def _recurrence(text: _Keys, h: int) -> _Part:
    """Griffin's recurrent block (arXiv 2402.19427): two maps in, one out, and gates of each head."""
    width, heads = text.number("lru_width", h), text["num_attention_heads"]
    gates = 2 * width * width // heads + width * text.number("conv1d_width", 4)
    return _linear((h, width), (h, width), (width, h)).and_(_Part(gates, gates))


def _mlp(text: _Keys, h: int, index: int) -> _Part:
    """An MLP, or a mixture of experts with what all tokens go through beside it."""
    matrices = 2 if text.kind in UNGATED else 3
    # RecurrentGemma states the width of both maps in together.
    dense = text.intermediate // (2 if text.kind == "recurrent_gemma" else 1)
    experts = text.number("experts", 0)
    is_dense = index < text.number("first_k_dense_replace", 0) or index in (text.given.get("mlp_only_layers") or [])
    is_dense = is_dense or (index + 1) % text.number("decoder_sparse_step", 1) != 0
    if not experts or is_dense:
        return _linear(*[(h, dense)] * matrices)._replace(wide=dense)
    each = text.number("moe_intermediate_size", dense)
    used = text.number("num_experts_per_tok", 1)
    shared = text.number("shared_expert_intermediate_size", 0) or text.number("shared_intermediate_size", 0)
    shared = shared or each * text.number("n_shared_experts", 0)
    one = _linear(*[(h, each)] * matrices)
    largest = experts * h * each * 2 if text.kind in FUSED else h * each
    together = _Part(experts * one.size, used * one.active, experts * one.sides, largest, used * each)
    always = _linear(*[(h, shared)] * matrices)._replace(wide=shared) if shared else _Part()
    return together.and_(always).and_(_linear((h, experts)))


def _eyes(architecture: Architecture, hidden: int) -> int:
    """Parameters of a wrapper's vision tower and of what joins it to the language model."""
    vision = architecture.get("vision_config")
    if not isinstance(vision, Mapping):
        return 0
    eyes = _Keys({"intermediate_size": 4 * int(vision.get("hidden_size", 0) or 0), **vision, "model_type": "vision"})
    h, i = eyes.number("hidden_size", 0), eyes.number("intermediate_size", 0)
    layers = eyes.number("depth", 0) or eyes.number("num_hidden_layers", 0)
    matrices = 3 if vision.get("model_type") == "pixtral" else 2
    patch = eyes.number("patch_size", 14)
    places = eyes.number("num_position_embeddings", 0) or (eyes.number("image_size", 0) // patch) ** 2
    merged = h * eyes.number("spatial_merge_size", int(architecture.get("spatial_merge_size") or 1)) ** 2
    joined = h * hidden if architecture.get("model_type") == "gemma3" else merged * merged + merged * hidden
    if architecture.get("model_type") == "mistral3":
        joined = merged * h + h * hidden + hidden * hidden
        places = 0
    return layers * (4 * h * h + matrices * h * i) + 3 * patch * patch * h + places * h + joined
