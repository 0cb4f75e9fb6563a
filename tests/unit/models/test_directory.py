import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory
from workflow_scripts.models.directory import Tensor


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model in two shards."""
    (tmp_path / "config.json").write_text('{"model_type": "cohere"}')
    save_file({"a": np.zeros((2, 3), np.float32)}, tmp_path / "one.safetensors")
    save_file({"b": np.zeros(4, np.float16)}, tmp_path / "two.safetensors")
    index = {"weight_map": {"a": "one.safetensors", "b": "two.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def test_tensors_are_read_from_shards_and_from_one_file(model: Path) -> None:
    assert directory.tensors(model) == {"a": Tensor("F32", (2, 3)), "b": Tensor("F16", (4,))}
    (model / "model.safetensors.index.json").unlink()
    (model / "one.safetensors").rename(model / "model.safetensors")
    assert directory.tensors(model) == {"a": Tensor("F32", (2, 3))}


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("config.json", None, "no such file"),
        ("config.json", "{", "not readable as JSON"),
        ("config.json", "[]", "holds no JSON object"),
        ("two.safetensors", None, "no such file"),
        ("two.safetensors", "short", "not a whole safetensors file"),
        ("model.safetensors.index.json", "{", "not readable as JSON"),
        ("model.safetensors.index.json", "{}", "holds no weight map"),
        ("model.safetensors.index.json", '{"weight_map": {"a": 1}}', "holds no weight map"),
        (
            "model.safetensors.index.json",
            '{"weight_map": {"a": "one.safetensors", "c": "one.safetensors"}}',
            "tensor c",
        ),
    ],
)
def test_what_is_missing_or_broken_is_named(model: Path, file: str, content: str | None, message: str) -> None:
    path = model / file
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises(UserError, match=f"^{path}: {message}") as caught:
        directory.tensors(model)
    assert "\n" not in str(caught.value)


def test_quantised_weights_are_refused_where_they_are_computed_with(model: Path) -> None:
    assert directory.float_tensors(model) == directory.tensors(model)
    save_file({"b": np.zeros(4, np.int8)}, model / "two.safetensors")
    assert directory.tensors(model)["b"].dtype == "I8"
    with pytest.raises(UserError, match="tensor b is I8"):
        directory.float_tensors(model)


def test_companions_are_copied_where_they_are_there(model: Path, tmp_path: Path) -> None:
    (model / "tokenizer.json").write_text("{}")
    (tmp_path / "copy").mkdir()
    directory.copy_companions(model, tmp_path / "copy")
    assert os.listdir(tmp_path / "copy") == ["tokenizer.json"]
