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
    "float32": ("F32", torch.float32),
    "float16": ("F16", torch.float16),
    "bfloat16": ("BF16", torch.bfloat16),
}


class SafetensorsFile:
    """A file for tensors of given names, shapes and one data type, which may come in any order, from any thread."""

    def __init__(self, path: Path, shapes: dict[str, tuple[int, ...]], dtype: str) -> None:
        spelled, self.dtype = DTYPES[dtype]
        self.path, self.shapes, self.offsets, self.missing = path, shapes, dict[str, int](), set(shapes)
        header: dict[str, object] = {"__metadata__": {"format": "pt"}}
        end = 0
        for name, shape in sorted(shapes.items()):
            self.offsets[name] = end
            end += math.prod(shape) * self.dtype.itemsize
            header[name] = {"dtype": spelled, "shape": list(shape), "data_offsets": [self.offsets[name], end]}
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
        if tuple(tensor.shape) != self.shapes[name] or tensor.dtype != self.dtype:
            raise ValueError(f"{name}: {tensor.dtype} {tuple(tensor.shape)}, not {self.dtype} {self.shapes[name]}")
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
