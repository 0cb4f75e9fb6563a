"""What lies in a model directory, read from the headers of its files without importing torch."""

import json
from pathlib import Path

from safetensors import SafetensorError, safe_open

from workflow_scripts.base.errors import UserError


def layout(model: Path) -> dict[str, str]:
    """Data type of each tensor by name, as safetensors spells it (F32, BF16).

    Raises:
        UserError: a file is missing or not whole; names it.
    """
    index = model / "model.safetensors.index.json"
    try:
        json.loads((model / "config.json").read_text())
        shards = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else []
    except FileNotFoundError as error:
        raise UserError(f"{error.filename}: no such file; make or load the model again") from None
    except (ValueError, KeyError) as error:
        raise UserError(
            f"{model}: config.json or the index of its weights is no JSON ({error}); make it again"
        ) from None
    found = {}
    for file in [model / name for name in shards or ["model.safetensors"]]:
        try:
            with safe_open(file, framework="numpy") as tensors:
                found.update({name: tensors.get_slice(name).get_dtype() for name in tensors.keys()})  # noqa: SIM118
        except FileNotFoundError:
            raise UserError(f"{file}: no such file; make or load the model again") from None
        except (SafetensorError, OSError) as error:
            raise UserError(f"{file}: not a whole safetensors file ({error}); delete it and run again") from None
    return found
