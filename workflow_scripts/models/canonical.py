"""The names of a model's tensors: those on its disk, and those under which transformers writes it, which are canonical.

A checkpoint may hold a network under other names than the network has in memory (experts one by one, a wrapper's older
prefixes, GPT-2 without its first word) and hold what is no part of it (buffers that older versions kept).  transformers
maps names when it loads, and maps them back when it saves.  Both are done here on tensors without numbers, so what a
model's files mean is known, and compared with its config.json, before anything is computed or read.
"""

import re
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightRenaming, rename_source_key, revert_weight_conversion
from transformers.modeling_utils import remove_tied_weights_from_state_dict

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory, network
from workflow_scripts.models.directory import COMPUTED

DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}

Shapes = dict[str, tuple[int, ...]]


class Layout(NamedTuple):
    """What the tensors of a model directory are.

    Attributes:
        names: of a tensor on disk -> its canonical name; the tensors of the model, each once.
        unused: on disk, but no part of the model: old buffers, and an output head that is the embedding again.
        tensors: canonical name -> data type and shape.
    """

    names: dict[str, str]
    unused: tuple[str, ...]
    tensors: dict[str, directory.Tensor]


def layout(model: Path) -> Layout:
    """What the tensors of a model directory are; headers are read alone, but for an output head that may be a copy.

    Raises:
        UserError: a file is missing or broken; a tensor is missing, quantised, no part of the model, or of another
            shape than config.json says.
    """
    found = directory.float_tensors(model, apart_from=COMPUTED)
    directory.check_depth(model, len(found))
    outline = network.skeleton(model)
    blank = {name: torch.empty(t.shape, dtype=DTYPES.get(t.dtype), device="meta") for name, t in found.items()}
    with network.explained(model, _odd_shapes(found)):
        built, report = type(outline).from_pretrained(
            None,
            config=outline.config,
            state_dict=blank,
            device_map="meta",
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
        canonical = {name: tuple(tensor.shape) for name, tensor in written(built, built.state_dict()).items()}
        _check(model, report)
        names = _paired(built, {name: tensor.shape for name, tensor in found.items()}, canonical)
        for copy in _copies(model, built, names):
            del canonical[names.pop(copy)]
    if lost := sorted(canonical.keys() - set(names.values())):
        raise UserError(
            f"{model}: {lost[0]} is kept in a form of its own; have transformers write the model anew: "
            "AutoModelForCausalLM.from_pretrained(folder).save_pretrained(another)"
        )
    tensors = {name: found[on_disk] for on_disk, name in names.items()}
    return Layout(names, tuple(sorted(directory.tensors(model).keys() - names.keys())), tensors)


def written(built: Any, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors that transformers' `save_pretrained` would write of a network, under its names for them.

    Args:
        built: the network, as it was loaded.
        state: its tensors by their names in memory; tied ones may be in it more than once.
    """
    ignored = built._keys_to_ignore_on_save or ()
    alone = {name: tensor for name, tensor in state.items() if name not in ignored}
    return dict(revert_weight_conversion(built, remove_tied_weights_from_state_dict(alone, built)))


def _check(model: Path, report: dict[str, Any]) -> None:
    """Refuse what transformers would fill with random numbers, or leave out with a warning."""
    wrong = [
        f"{name} is {_sides(there)} on disk, and {_sides(wanted)} by config.json"
        for name, there, wanted in sorted(report["mismatched_keys"])
    ]
    wrong += [f"{name} is in no file" for name in sorted(report["missing_keys"])]
    extra = sorted(name for name in report["unexpected_keys"] if not COMPUTED.search(name))
    wrong += [f"{name} is no part of the architecture in config.json" for name in extra]
    if wrong:
        more = f"; and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise UserError(f"{model}: tensor {'; '.join(wrong[:3])}{more}; correct config.json, or the files of weights")


def _odd_shapes(found: dict[str, directory.Tensor]) -> str:
    """The tensors that are not shaped as those of other layers or experts, which may be why they cannot be joined."""
    alike: dict[str, list[str]] = {}
    for name in found:
        alike.setdefault(re.sub(r"(?<=\.)\d+(?=\.)", "*", name), []).append(name)
    odd = []
    for names in alike.values():
        usual = Counter(found[name].shape for name in names).most_common(1)[0][0]
        odd += [
            f"{name} is {_sides(found[name].shape)}, others {_sides(usual)}"
            for name in names
            if found[name].shape != usual
        ]
    return "; ".join(odd[:3])


def _sides(shape: Any) -> str:
    return " x ".join(map(str, shape)) or "a number"


def _paired(built: Any, on_disk: Shapes, canonical: Shapes) -> dict[str, str]:
    """The canonical name of each tensor on disk, by transformers' rules for names; one that has none is left out.

    What is stored under its canonical name is nearly everything.  Others are renamed as they are on loading, and back
    as on saving; rules that join or split tensors (of experts) find them in both forms alike and change no name.
    """
    names = {name: name for name in on_disk.keys() & canonical.keys()}
    rest = on_disk.keys() - names.keys()
    if not rest:
        return names
    rules = get_model_conversion_mapping(built)
    forth = [rule for rule in rules if isinstance(rule, WeightRenaming)]
    back = [rule.reverse_transform() for rule in (built._weight_conversions or [])[::-1]]
    back = [rule for rule in back if isinstance(rule, WeightRenaming)]
    prefix = f"{built.base_model_prefix}."
    for name in sorted(rest):
        loaded = rename_source_key(name, forth, [])[0]
        ways = [loaded, prefix + loaded, loaded.removeprefix(prefix)]
        for way in (*ways, *(rename_source_key(way, back, [], reverse=True)[0] for way in ways)):
            if canonical.get(way) == on_disk[name] and way not in names.values():
                names[name] = way
                break
    return names


def _copies(model: Path, built: Any, names: dict[str, str]) -> list[str]:
    """The tensors on disk that are another one again, since config.json ties them: an output head, as a rule.

    Raises:
        UserError: they differ; transformers would not tie them, and engines that go by config.json would.
    """
    copies = []
    on_disk = {canonical: name for name, canonical in names.items()}
    for target, source in (getattr(built, "all_tied_weights_keys", None) or {}).items():
        meta = {name: torch.empty(0, device="meta") for name in (target, source)}
        first, second = (on_disk.get(next(iter(revert_weight_conversion(built, {name: meta[name]})))) for name in meta)
        if first and second:
            values = directory.read_tensors(model, [first, second])
            if not torch.equal(values[first], values[second]):
                raise UserError(
                    f"{model}/config.json: tie_word_embeddings is true, but {first} differs from {second}; "
                    "set it to false, or remove the tensor"
                )
            copies.append(first)
    return copies
