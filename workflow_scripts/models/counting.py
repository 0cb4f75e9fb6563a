"""Parameters and bytes of a model, counted: on torch's meta device and in the headers of its files."""

import math
from pathlib import Path
from typing import NamedTuple

from workflow_scripts.models import directory, network

BYTES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}


class Counted(NamedTuple):
    """What a model has: `parameters`, those of them that text goes through (`text`), and `bytes` on disk."""

    parameters: int
    text: int
    bytes: int


def count(model: Path) -> Counted:
    """Count a model directory.

    Raises:
        UserError: its config.json cannot be built, or its files cannot be read.
    """
    outline = network.skeleton(model)
    parts = network.text_parts(outline)
    sizes = {name: parameter.numel() for name, parameter in outline.named_parameters()}
    text = sum(size for name, size in sizes.items() if parts == [""] or any(name.startswith(f"{p}.") for p in parts))
    found = directory.tensors(model).values()
    size = sum(math.prod(tensor.shape) * BYTES.get(tensor.dtype, 1) for tensor in found)
    return Counted(sum(sizes.values()), text, size)
