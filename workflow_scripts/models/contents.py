"""What a folder that somebody else wrote holds: a model, an adapter, or things that contradict one another.

A folder from a hub or from another tool may hold a model several times (whole and in shards, in other formats, packed
for other programs) and be read one way here and another there.  Here each has one rule: weights are the files that
transformers reads by their names, model.safetensors or the shards of model.safetensors.index.json; other formats and
other files of weights are not looked at; what is ambiguous is refused.  Nothing heavy is imported.
"""

from pathlib import Path

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory

# What belongs to a model besides its weights; of code only where the user consents.
BESIDE = ("*.json", "*.model", "*.tiktoken", "*.txt", "*.jinja")
CODE = "*.py"
SINGLE, ADAPTER, ADAPTER_WEIGHTS = "model.safetensors", "adapter_config.json", "adapter_model.safetensors"
TAKEN = (*BESIDE, CODE, "model*.safetensors", ADAPTER_WEIGHTS)  # what is fetched from a hub
OTHERS = ("*.bin", "*.pt", "*.pth", "*.h5", "*.msgpack", "*.gguf", "*.ckpt")  # weights in other formats
OURS = frozenset({"manifest.json", "recipe.json", "execution.json"})  # of a model that mixmerge made


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter, and no model.

    Raises:
        UserError: it holds both.
    """
    if not (folder / ADAPTER).is_file():
        return False
    whole = [name for name in (SINGLE, directory.INDEX) if (folder / name).exists()]
    if whole:
        raise UserError(
            f"{folder}: holds an adapter ({ADAPTER}) beside a whole model ({whole[0]}), which may or may not contain "
            "it; move one of both to a folder of its own"
        )
    return True


def of_model(folder: Path, consent: bool) -> list[Path]:
    """The files of the model that a folder holds, without those that no one reads.

    Args:
        folder: a local one, or a snapshot of the hub's.
        consent: whether code of the model's own may be taken along.

    Raises:
        UserError: there is no model in it, or more than one, or a quantised one.
    """
    if is_adapter(folder):
        raise UserError(f"{folder}: is an adapter ({ADAPTER}) without its model; name that by `base` in its row")
    config = directory.read_config(folder)
    if why := directory.quantised(config):
        raise UserError(f"{folder}/config.json: {why}")
    if (other := config.get("transformers_weights")) not in (None, SINGLE):
        raise UserError(
            f"{folder}/config.json: transformers_weights names {other}, but others read {SINGLE}; remove it"
        )
    files = _beside(folder, consent) + _weights(folder)
    for path in files:
        if not path.is_file():
            raise UserError(f"{path}: no such file, though {directory.INDEX} names it; fetch the model again")
    return files


def of_adapter(folder: Path) -> list[Path]:
    """The files of the adapter that a folder holds.

    Raises:
        UserError: its weights are missing, or in a format that can run code.
    """
    if not is_adapter(folder):
        raise UserError(f"{folder}: has no {ADAPTER}, so it is no adapter; remove `base` from its row")
    if not (folder / ADAPTER_WEIGHTS).is_file():
        raise UserError(f"{folder}: has no {ADAPTER_WEIGHTS}; save the adapter as safetensors (others can run code)")
    return [*_beside(folder, consent=False), folder / ADAPTER_WEIGHTS]


def base_of(adapter: Path) -> str:
    """The path or hub id of the model that an adapter was trained on, as it says itself; empty where it does not.

    Raises:
        UserError: what it says of itself cannot be read.
    """
    return str(directory.read_object(adapter / ADAPTER).get("base_model_name_or_path") or "")


def base_folder(adapter: Path) -> Path:
    """The local folder that an adapter names as its base.

    Raises:
        UserError: it names none that is there.
    """
    named = base_of(adapter)
    for place in (Path(named), adapter / named):
        if named and (place / "config.json").is_file():
            return place
    raise UserError(
        f"{adapter}: is an adapter of {named or 'a model that it does not name'}, which is no local folder; load that "
        "model by a row of its own, and name the row by `base`"
    )


def _beside(folder: Path, consent: bool) -> list[Path]:
    patterns = (*BESIDE, CODE) if consent else BESIDE
    return sorted({path for pattern in patterns for path in folder.glob(pattern)} - {folder / name for name in OURS})


def _weights(folder: Path) -> list[Path]:
    """The files of the weights that transformers reads.

    Raises:
        UserError: there are none, or those of two models.
    """
    named = directory.weight_files(folder)  # those of the index, or the single one
    single, is_sharded = folder / SINGLE, (folder / directory.INDEX).exists()
    if is_sharded and single.exists() and single not in named:
        raise UserError(
            f"{folder}: holds weights twice, in {SINGLE} and in the shards of {directory.INDEX}; remove one of both"
        )
    if is_sharded or single.exists():
        return named
    found = sorted(path.name for path in folder.glob("*.safetensors"))
    if any("-of-" in name for name in found):
        raise UserError(f"{folder}: has shards ({found[0]}) and no {directory.INDEX}; fetch it as well")
    if found:
        raise UserError(f"{folder}: has no {SINGLE} but {', '.join(found)}; transformers reads weights by that name")
    others = sorted(path.name for pattern in OTHERS for path in folder.glob(pattern))
    more = f" but {others[0]}" if others else ""
    raise UserError(f"{folder}: has no .safetensors{more}; convert it first (other formats can run code)")
