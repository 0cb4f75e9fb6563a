"""A safetensors file that is written a tensor at a time, so that a large model is never whole in memory.

https://github.com/huggingface/safetensors#format: 8 bytes of header length, a JSON header, tensor after tensor.
The bytes are those of `safetensors.torch.save_file`, which wants all tensors at once.
"""

import json
import math
import os
from pathlib import Path
from types import TracebackType

import torch

DTYPES = {
    "float64": ("F64", torch.float64),
    "float32": ("F32", torch.float32),
    "bfloat16": ("BF16", torch.bfloat16),
    "float16": ("F16", torch.float16),
}  # in the order in which safetensors puts them into a file, so that every tensor is aligned


class SafetensorsFile:
    """A file for tensors of given names, shapes and data types, which may come in any order, from any thread."""

    def __init__(self, path: Path, shapes: dict[str, tuple[int, ...]], dtypes: dict[str, str]) -> None:
        self.path, self.shapes, self.offsets, self.missing = path, shapes, dict[str, int](), set(shapes)
        self.dtypes = {name: DTYPES[dtype][1] for name, dtype in dtypes.items()}
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name in sorted(shapes, key=lambda name: ([*DTYPES].index(dtypes[name]), name)):
            self.offsets[name] = end
            end += math.prod(shapes[name]) * self.dtypes[name].itemsize
            place = {"data_offsets": [self.offsets[name], end]}
            header[name] = {"dtype": DTYPES[dtypes[name]][0], "shape": list(shapes[name]), **place}
        text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
        text += b" " * (-len(text) % 8)
        self.head = len(text).to_bytes(8, "little") + text

    def __enter__(self) -> "SafetensorsFile":
        self.handle = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        self._put(memoryview(self.head), 0)
        return self

    def write(self, name: str, tensor: torch.Tensor) -> None:
        """Put a tensor in its place.

        Raises:
            ValueError: it is not of the shape or data type that the header says.
        """
        wanted = self.dtypes[name], self.shapes[name]
        if (tensor.dtype, tuple(tensor.shape)) != wanted:
            raise ValueError(f"{name}: {tensor.dtype} {tuple(tensor.shape)}, not {wanted[0]} {wanted[1]}")
        if tensor.numel():
            flat = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
            self._put(flat.numpy().data, len(self.head) + self.offsets[name])
        self.missing.discard(name)

    def _put(self, content: memoryview, place: int) -> None:
        while len(content):  # a system call writes 2 GB at the most
            count = os.pwrite(self.handle, content, place)
            content, place = content[count:], place + count

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self.handle)
        if kind is None and self.missing:
            raise ValueError(f"{self.path}: {min(self.missing)} was not written")
