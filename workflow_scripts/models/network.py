"""A model's network, as transformers builds it of a model directory: with its weights, or a skeleton without numbers.

The one place where a config.json becomes a network, so that training, answering and inspection mean the same class, and
what is wrong with a user's files is said in a line.  Code that a model brings is run where it lies in the directory:
loading puts it there only with consent.
"""

import importlib.metadata
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForImageTextToText,
    DynamicCache,
    GenerationConfig,
)
from transformers.cache_utils import LinearAttentionCacheLayerMixin
from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES
from transformers.utils import logging

from workflow_scripts.base.errors import UserError, is_out_of_memory
from workflow_scripts.models import directory


def configuration(model: Path) -> Any:
    """Transformers' configuration of a model directory.

    Raises:
        UserError: config.json is missing, of a kind that transformers does not know, or not what its kind takes.
    """
    given = directory.read_config(model)
    if given.get("auto_map") and given.get("model_type") not in CONFIG_MAPPING_NAMES and not directory.has_code(model):
        raise UserError(
            f"{model}/config.json: a model of type {given.get('model_type')} brings code of its own (auto_map); read "
            "that code, then consent by `trust_remote_code: true` in the model's row"
        )
    with explained(model):
        return AutoConfig.from_pretrained(model, local_files_only=True, trust_remote_code=directory.has_code(model))


def skeleton(model: Path) -> Any:
    """The network of a model directory on torch's meta device: names, shapes and classes, and no numbers.

    Raises:
        UserError: as `configuration`, or no network that writes text can be built of it.
    """
    config = configuration(model)
    with explained(model), torch.device("meta"):
        return _auto(model, config).from_config(config, trust_remote_code=directory.has_code(model))


def load(model: Path, dtype: torch.dtype, attention: str | None = None) -> Any:
    """The network of a model directory with its weights, in main memory.

    It samples as little as it was told to: what generation_config.json suggests is left out, since some that are
    published do not pass transformers' own check when a checkpoint is written.

    Args:
        model: a model directory.
        dtype: of its parameters; those that must be more exact than half precision stay so.
        attention: transformers' `attn_implementation`; None: its own choice.

    Raises:
        UserError: as `skeleton`, or its weights cannot be read, or there is no such attention.
    """
    config = configuration(model)
    chosen = {"attn_implementation": attention} if attention else {}
    with explained(model, settings=f"attn_implementation {attention}" if attention else ""):
        network = _auto(model, config).from_pretrained(
            model,
            dtype=dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=directory.has_code(model),
            **chosen,
        )
    given = network.generation_config
    network.generation_config = GenerationConfig(
        bos_token_id=given.bos_token_id, eos_token_id=given.eos_token_id, pad_token_id=given.pad_token_id
    )
    return network


def text_parts(network: Any) -> list[str]:
    """The modules of a network that make text of text: all of it, or in a multimodal wrapper its language model.

    Returns:
        Names of modules; the empty one is the whole network.
    """
    if network.config.get_text_config(decoder=True) is network.config:
        return [""]
    parts = [network.get_decoder(), network.get_input_embeddings(), network.get_output_embeddings()]
    return [name for name, module in network.named_modules() if name and any(module is part for part in parts)]


def hands_state_on(network: Any) -> bool:
    """Whether some layer of a network hands a state on from token to token, and so takes padding for text.

    State spaces, linear attention and short convolutions do.
    """
    layers = DynamicCache(config=network.config).layers
    return bool(network._is_stateful) or any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in layers)


def _auto(model: Path, config: Any) -> Any:
    """The family of classes to build with: a wrapper around a language model stays whole, so nothing of it is lost."""
    is_wrapper = config.get_text_config(decoder=True) is not config
    if is_wrapper and type(config) in MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING:
        return AutoModelForImageTextToText
    brings_code = directory.has_code(model) and "AutoModelForCausalLM" in (getattr(config, "auto_map", None) or {})
    if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING and not brings_code:
        raise UserError(
            f"{model}/config.json: model_type {config.model_type!r} is no language model that transformers "
            f"{importlib.metadata.version('transformers')} can build (a decoder that writes text); load another"
        )
    return AutoModelForCausalLM


@contextmanager
def quiet() -> Iterator[None]:
    """Keep transformers' notices and progress bars off; what matters of them is said by errors here."""
    verbosity, is_shown = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(verbosity)
        if is_shown:
            logging.enable_progress_bar()


@contextmanager
def explained(model: Path, odd: str = "", file: str = "config.json", settings: str = "") -> Iterator[None]:
    """Say in a line what transformers, or a model's own code, makes of a user's files; it may raise anything.

    Args:
        model: the directory.
        odd: what is odd about its tensors, for when they are the reason.
        file: that describes it.
        settings: what else decides what is built.
    """
    try:
        with quiet():
            yield
    except UserError:
        raise
    except (SafetensorError, EOFError) as error:
        raise UserError(f"{model}: its weights cannot be read ({_said(error)}); {directory.AGAIN}") from None
    except Exception as error:
        if is_out_of_memory(error):
            raise
        what = f"transformers {importlib.metadata.version('transformers')} cannot build the model that it describes"
        what += f" with {settings}" if settings else ""
        why = odd if odd and isinstance(error, RuntimeError) else _said(error)
        raise UserError(f"{model}/{file}: {what} ({why}); correct the files, or load another model") from None


def _said(error: BaseException) -> str:
    """What an exception says, in one line that can be read."""
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:300]}" if said else type(error).__name__
