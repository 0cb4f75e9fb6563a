"""A file written a tensor at a time is, to the byte, the one that safetensors writes at once."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from workflow_scripts.models.tensor_file import DTYPES, SafetensorsFile

NAMES = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1).filter(
    lambda n: n != "__metadata__"
)


@given(
    shapes=st.dictionaries(NAMES, st.lists(st.integers(0, 5), max_size=3), min_size=1, max_size=6),
    chosen=st.lists(st.sampled_from(sorted(DTYPES)), min_size=6, max_size=6),
    backwards=st.booleans(),
)
def test_bytes_are_those_of_save_file_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, shapes: dict, chosen: list[str], backwards: bool
) -> None:
    folder = tmp_path_factory.mktemp("files")
    dtypes = dict(zip(shapes, chosen, strict=False))
    tensors = {name: torch.randn(shape).to(DTYPES[dtypes[name]][1]) for name, shape in shapes.items()}
    save_file(tensors, folder / "whole", metadata={"format": "pt"})
    with SafetensorsFile(folder / "parts", {name: tuple(shape) for name, shape in shapes.items()}, dtypes) as file:
        for name in sorted(tensors, reverse=backwards):
            file.write(name, tensors[name])
    assert (folder / "parts").read_bytes() == (folder / "whole").read_bytes()
    torch.testing.assert_close(load_file(folder / "parts"), tensors, rtol=0, atol=0)


def test_views_are_written_as_they_look(tmp_path: Path) -> None:
    matrix = torch.arange(6.0).reshape(2, 3).T
    with SafetensorsFile(tmp_path / "file", {"x": (3, 2)}, {"x": "float32"}) as file:
        file.write("x", matrix)
    assert torch.equal(load_file(tmp_path / "file")["x"], matrix)


@pytest.mark.parametrize("wrong", [torch.zeros(3), torch.zeros(2, dtype=torch.float16)])
def test_a_tensor_that_the_header_does_not_describe_is_refused(tmp_path: Path, wrong: torch.Tensor) -> None:
    with SafetensorsFile(tmp_path / "file", {"x": (2,)}, {"x": "float32"}) as file:
        with pytest.raises(ValueError, match="x: torch"):
            file.write("x", wrong)
        file.write("x", torch.ones(2))


def test_a_tensor_that_never_came_is_missed(tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="y was not written"),
        SafetensorsFile(tmp_path / "file", {"x": (2,), "y": (2,)}, dict.fromkeys("xy", "float32")) as file,
    ):
        file.write("x", torch.ones(2))
