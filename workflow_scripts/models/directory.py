"""Reads a model directory: its config.json, and names, data types and shapes of its tensors.

Only the headers of weight files are read.  Nothing here imports torch or transformers, so that models can be checked
when the Snakefile is parsed.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open

from workflow_scripts.base.errors import UserError

# What a model directory holds besides its configuration and weights; a model made from another takes them over.
COMPANIONS = (
    "*.py",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
    "merges.txt",
    "mixmerge_chat.json",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer.model",
    "tokenizer_config.json",
    "vocab.json",
)
# Buffers that older versions of transformers saved and newer ones compute: nothing that a model learned is in them.
COMPUTED = re.compile(r"(rotary_emb\.(inv_freq|cos_cached|sin_cached)|att(entio)?n\.(masked_)?bias|position_ids)$")
INDEX = "model.safetensors.index.json"
FLOATS = frozenset({"F64", "F32", "F16", "BF16"})
AGAIN = "restore it, or make the model again"
UNQUANTISED = "load the unquantised model (in bfloat16, float16 or float32) that it was made from"
LAYERS = re.compile(r"(n|num)_(hidden_|encoder_|decoder_)?layers?|depth")  # keys of config.json that count layers


class Tensor(NamedTuple):
    """What a weight file's header says about a tensor."""

    dtype: str  # as safetensors spells it: F32, BF16
    shape: tuple[int, ...]


def read_config(model: Path) -> dict[str, Any]:
    """Read the config.json of a model directory.

    Raises:
        UserError: it is missing or not a JSON object.
    """
    return read_object(model / "config.json")


def weight_files(model: Path) -> list[Path]:
    """The files of a model's weights: one, or the shards that its index names.

    Raises:
        UserError: the index is not one.
    """
    return [model / name for name in sorted({*_index(model).values()}) or ["model.safetensors"]]


def tensors(model: Path) -> dict[str, Tensor]:
    """Every tensor of a model, by name.

    Raises:
        UserError: config.json or a file of weights is missing or not whole, or the index does not fit the files.
    """
    read_config(model)
    found = {}
    for path in weight_files(model):
        try:
            with safe_open(path, framework="numpy") as file:
                for name in file.keys():  # noqa: SIM118 (not a dict)
                    part = file.get_slice(name)
                    found[name] = Tensor(part.get_dtype(), tuple(part.get_shape()))
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; {AGAIN}") from None
        except (SafetensorError, OSError) as error:
            raise UserError(f"{path}: not a whole safetensors file ({error}); {AGAIN}") from None
    if (index := _index(model)) and (lost := sorted(index.keys() ^ found.keys())):
        raise UserError(f"{model / INDEX}: tensor {lost[0]} is not where the index says; {AGAIN}")
    return found


def float_tensors(model: Path, apart_from: re.Pattern[str] | None = None) -> dict[str, Tensor]:
    """Every tensor of a model whose weights can be computed with.

    Args:
        model: a model directory.
        apart_from: names of tensors that may be of other data types, which are left out where they are.

    Raises:
        UserError: as `tensors`, or the weights are quantised.
    """
    if why := quantised(read_config(model)):
        raise UserError(f"{model}/config.json: {why}")
    found = tensors(model)
    others = [name for name, tensor in found.items() if tensor.dtype not in FLOATS]
    for name in others:
        if not (apart_from and apart_from.search(name)):
            raise UserError(f"{model}: tensor {name} is {found[name].dtype}; {UNQUANTISED}")
        del found[name]
    return found


def quantised(config: dict[str, Any]) -> str | None:
    """What says that a model's weights are quantised, or None; such weights cannot be trained, merged or compared."""
    for key in ("quantization_config", "compression_config"):
        for part in (config, config.get("text_config")):
            if isinstance(part, dict) and part.get(key):
                how = part[key].get("quant_method") if isinstance(part[key], dict) else part[key]
                return f"{key} says that the weights are quantised ({how}); {UNQUANTISED}"
    return None


def read_tensors(model: Path, names: Iterable[str]) -> dict[str, Any]:
    """Some tensors of a model, as torch has them.

    Raises:
        KeyError: there is no tensor of a name.
    """
    wanted = set(names)
    found = {}
    for path in weight_files(model):
        with safe_open(path, framework="pt") as file:
            found.update({name: file.get_tensor(name) for name in wanted & set(file.keys())})
    return {name: found[name] for name in wanted}


def has_code(model: Path) -> bool:
    """Whether a model directory holds code of the model's own; loading puts it there only where the user consents."""
    return any(model.glob("*.py"))


def check_depth(model: Path, tensors: int) -> None:
    """Refuse a config.json with more layers than there are tensors, before they are built.

    Raises:
        UserError: it has.
    """
    for key, value in _numbers(read_config(model)):
        if LAYERS.fullmatch(key) and value > tensors:
            raise UserError(f"{model}/config.json: {key} is {value}, but there are {tensors} tensors; correct it")


def _numbers(config: dict[str, Any]) -> Iterator[tuple[str, float]]:
    """The numbers of a config.json, of sections in it as well."""
    for key, value in config.items():
        if isinstance(value, dict):
            yield from _numbers(value)
        elif isinstance(value, int | float):
            yield key, value


def copy_companions(source: Path, target: Path) -> None:
    """Give a model the tokenizer and generation settings of the model that it was made from."""
    for path in (path for pattern in COMPANIONS for path in source.glob(pattern)):
        shutil.copyfile(path, target / path.name)


def _index(model: Path) -> dict[str, str]:
    """The file of each tensor of sharded weights; empty where the weights are one file."""
    path = model / INDEX
    if not path.exists():
        return {}
    files = read_object(path).get("weight_map")
    if (
        not isinstance(files, dict)
        or not files
        or not all(isinstance(f, str) and Path(f).name == f for f in files.values())
    ):
        raise UserError(f"{path}: holds no weight map; {AGAIN}")
    return files


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        UserError: it is missing, or no JSON object.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {AGAIN}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not readable as JSON ({error}); {AGAIN}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: holds no JSON object; {AGAIN}")
    return content
