"""What models compute and what their tokens mean: which models may be merged.

Tools and versions of transformers save one architecture with different keys.  transformers' own configuration class of
a model is asked what they mean: it reads old spellings, fills in defaults, and knows which keys are its own.  All
others (a trainer's notes, labels, sampling) describe and compute nothing.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory
from workflow_scripts.models.architecture import FREE

TEMPLATES = ("chat_template.jinja", "mixmerge_chat.json")
VOCABULARIES = ("tokenizer.json", "tokenizer.model", "vocab.json", "merges.txt")


def difference(models: Sequence[Path]) -> str | None:
    """Say what models compute differently with the same weights, or None.

    Returns:
        The first difference from the first model, with the file that has it.

    Raises:
        UserError: a config.json is missing or not what its kind takes.
    """
    from transformers import PreTrainedConfig

    from workflow_scripts.models import network

    common = {field.name for field in dataclasses.fields(PreTrainedConfig)}
    first, *others = [computed(network.configuration(model), common) for model in models]
    for model, other in zip(models[1:], others, strict=True):
        for key in sorted(first.keys() | other.keys()):
            one, two = first.get(key), other.get(key)
            if one != two and not (key == "architectures" and None in (one, two)):
                return f"{model}/config.json: {key} is {json.dumps(two)}, not {json.dumps(one)} as in {models[0]}"
    return None


def computed(config: Any, common: set[str]) -> dict[str, Any]:
    """What of a configuration decides what its weights compute, parts of a wrapper by their names with dots.

    Args:
        config: transformers'.
        common: keys that every configuration has, which describe.
    """
    is_known = dataclasses.is_dataclass(config)
    names = [field.name for field in dataclasses.fields(config)] if is_known else list(config.to_dict())
    parts = getattr(config, "sub_configs", {})
    found: dict[str, Any] = {"model_type": config.model_type, "architectures": _plain(config.architectures)}
    for name in names:
        value = getattr(config, name, None)
        if name in parts and value is not None:
            found |= {f"{name}.{key}": item for key, item in computed(value, common).items()}
        elif name not in common | FREE and name not in parts:
            found[name] = _plain(value)
    return found


def _plain(value: Any) -> Any:
    """A value as JSON has it; of rotary settings the kind in one spelling, and no key that says nothing."""
    if isinstance(value, Mapping):
        kept = {str(key): _plain(item) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if not (key == "type" and "rope_type" in kept)}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def check_tokens(parents: Sequence[Path], base: Path | None, is_chosen: bool) -> None:
    """Raise where one id means different tokens in some models, or where it was not said whose tokenizer is kept.

    Args:
        parents: of a merge.
        base: model directory, or None.
        is_chosen: whether it was said.

    Raises:
        UserError: an id that two vocabularies share is another token there; or vocabularies or templates differ.
    """
    # A model that was saved without a tokenizer says nothing of its tokens.
    telling = [
        one for one in (*parents, *([base] if base else [])) if any((one / name).is_file() for name in VOCABULARIES)
    ]
    first, *others = telling or parents
    for other in others:
        if _same(first, other, VOCABULARIES):
            continue
        one, two = _tokens(first), _tokens(other)
        for number in sorted(one.keys() & two.keys()) if one and two else ():
            if one[number] != two[number]:
                raise UserError(
                    f"{other}: token {number} is {two[number]!r}, not {one[number]!r} as in {first}; "
                    "merge models whose tokens mean the same"
                )
        if one != two or not one:
            _refuse("vocabulary", first, other, is_chosen)
    for other in (one for one in others if one != base):
        if not _same(first, other, TEMPLATES):
            _refuse("chat template", first, other, is_chosen)


def _refuse(what: str, first: Path, other: Path, is_chosen: bool) -> None:
    if not is_chosen:
        raise UserError(f"{other}: its {what} is not that of {first}; say by `tokenizer_from` whose is kept")


def _same(one: Path, other: Path, names: Sequence[str]) -> bool:
    return all(_content(one / name) == _content(other / name) for name in names)


def _content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _tokens(model: Path) -> dict[int, str]:
    """The tokens of a model's tokenizer.json by their ids; empty where there is none that can be read so."""
    path = model / "tokenizer.json"
    if not path.is_file():
        return {}
    content = directory.read_object(path)
    vocabulary = (content.get("model") or {}).get("vocab")
    if isinstance(vocabulary, dict):
        found = {int(number): token for token, number in vocabulary.items()}
    else:  # of a unigram model: pieces in order, each with its score
        found = {number: str(piece[0]) for number, piece in enumerate(vocabulary or [])}
    return found | {int(one["id"]): str(one["content"]) for one in content.get("added_tokens") or []}
