"""Which models may be merged with, or compared to, one another, by their config.json alone."""

import json
from collections.abc import Collection
from typing import Any

# Keys that do not change the function that the weights compute; every other key must agree, also one unknown here.
FREE = frozenset(
    {
        "_attn_implementation",
        "_name_or_path",
        "attention_dropout",
        "bos_token_id",
        "dtype",
        "eos_token_id",
        "initializer_range",
        "max_position_embeddings",
        "max_window_layers",  # says which layers `layer_types` are sliding; those are compared
        "pad_token_id",
        "pretraining_tp",
        "torch_dtype",
        "transformers_version",
        "use_cache",
    }
)

# Keys that a model's size follows from.
SHAPE = frozenset({"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size"})

# What an absent key means where the answer is not obvious: transformers' configuration classes, 5.19.0.
_COHERE = {"logit_scale": 0.0625, "tie_word_embeddings": True, "use_qk_norm": False, "attention_bias": False}
_ABSENT: dict[str, dict[str, Any]] = {"cohere": _COHERE}


# Keys in which models surely differ: others may be another tool's words for the same, see `models.meaning`.
SURE = SHAPE | {"model_type", "num_key_value_heads", "logit_scale", "tokenizer"}


def check_compatible(configs: list[dict[str, Any]], keys: Collection[str] | None = None) -> str | None:
    """Say why models are not of one architecture, shape, logit scale and vocabulary, or None if they are.

    A key that only some configs state is compared where its default is known and skipped elsewhere: configs saved
    by different versions of transformers state different keys, and differences of shape show in the weights anyway.

    Args:
        configs: contents of the config.json files.
        keys: those that are compared; None: all that may matter.

    Returns:
        The first difference from the first config, as "logit_scale is 0.125, not 0.0625".
    """
    first, *others = [_comparable(config) for config in configs]
    for other in others:
        for key in sorted(first.keys() & other.keys() & (first.keys() if keys is None else set(keys))):
            if first[key] != other[key]:
                return f"{key} is {json.dumps(other[key])}, not {json.dumps(first[key])}"
    return None


def _comparable(config: dict[str, Any]) -> dict[str, Any]:
    """The keys that must agree, with defaults filled in and rotary settings in one spelling."""
    keys = {key: value for key, value in config.items() if key not in FREE and value is not None}
    rope = keys.pop("rope_parameters", None)
    if isinstance(rope, dict):  # transformers 5; version 4 writes rope_theta and rope_scaling at the top
        keys.setdefault("rope_theta", rope.get("rope_theta"))
        scaling = {key: value for key, value in rope.items() if key != "rope_theta"}
        if scaling.get("rope_type", "default") != "default":
            keys.setdefault("rope_scaling", scaling)
    return _ABSENT.get(str(config.get("model_type")), {}) | keys
