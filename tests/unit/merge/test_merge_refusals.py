import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from transformers import CohereForCausalLM

from tests.unit.merge.tiny import (
    AYA,
    LINEAR,
    SHAPES,
    merge,
    run,
    weights,
    write_model,
)
from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import with_mergekit


@pytest.fixture
def output(tmp_path: Path):
    """An output directory with a file of its owner's; a refused merge leaves it and its surroundings alone."""
    folder = tmp_path / "results" / "model"
    folder.mkdir(parents=True)
    (folder / "theirs").touch()
    yield folder
    assert [path.name for path in folder.iterdir()] == ["theirs"]
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("logit_scale", 0.125), ("vocab_size", 2000), ("num_key_value_heads", 4), ("architectures", ["LlamaForCausalLM"])],
)
def test_models_that_do_not_fit_are_refused(
    models: dict[str, Path], tmp_path: Path, output: Path, key: str, value: object
) -> None:
    other = write_model(tmp_path / "other", weights(models["second"]), AYA | {key: value})
    with pytest.raises(UserError, match=rf"other/config\.json: {key} is "):
        merge(LINEAR, [models["first"], other], None, output)


def test_weights_of_another_shape_are_refused(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    tensors = weights(models["second"]) | {"model.norm.weight": torch.ones(65)}
    other = write_model(tmp_path / "other", tensors)
    with pytest.raises(UserError, match=r"other: tensor model\.norm\.weight is 65 on disk, and 64 by config\.json"):
        merge(LINEAR, [models["first"], other], None, output)


def test_a_truncated_file_is_named(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    other = Path(shutil.copytree(models["second"], tmp_path / "other"))
    os.truncate(other / "model.safetensors", 5000)
    with pytest.raises(UserError, match=r"other/model\.safetensors: not a whole safetensors file"):
        merge(LINEAR, [models["first"], other], None, output)


def test_a_missing_file_is_named(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    other = tmp_path / "other"
    CohereForCausalLM.from_pretrained(models["second"]).save_pretrained(other, max_shard_size="200KB")
    shard = sorted(other.glob("model-*.safetensors"))[1]
    shard.unlink()
    with pytest.raises(UserError, match=f"{shard.name}: no such file"):
        merge(LINEAR, [models["first"], other], None, output)
    (other / "config.json").unlink()
    with pytest.raises(UserError, match=r"other/config\.json: no such file"):
        merge(LINEAR, [models["first"], other], None, output)


def test_a_shard_that_lacks_a_tensor_of_the_index_is_refused(
    models: dict[str, Path], tmp_path: Path, output: Path
) -> None:
    other = Path(shutil.copytree(models["second"], tmp_path / "other"))
    index = {"weight_map": dict.fromkeys([*SHAPES, "model.lost"], "model.safetensors")}
    (other / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(UserError, match=r"index\.json: tensor model\.lost"):
        merge(LINEAR, [models["first"], other], None, output)


def test_quantised_weights_are_refused(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    other = write_model(tmp_path / "other", {n: t.to(torch.int8) for n, t in weights(models["second"]).items()})
    with pytest.raises(UserError, match="is I8; load the unquantised model"):
        merge(LINEAR, [models["first"], other], None, output)


def test_weights_that_are_not_finite_are_refused(models: dict[str, Path], tmp_path: Path, output: Path) -> None:
    tensors = weights(models["second"])
    tensors["model.norm.weight"][3] = float("nan")
    other = write_model(tmp_path / "other", tensors)
    with pytest.raises(UserError, match=r"model\.norm\.weight has values that are not finite"):
        merge(LINEAR, [models["first"], other], None, output)


def test_another_mergekit_is_refused(models: dict[str, Path], output: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(with_mergekit.metadata, "version", lambda name: "0.2.0")
    with pytest.raises(UserError, match=r"mergekit 0\.2\.0 is installed, but merges need 0\.1\.5"):
        run(models, LINEAR, output)
