"""Which files of somebody's folder are the model, and which folders contradict themselves."""

import json
from pathlib import Path

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import contents

INDEX = "model.safetensors.index.json"
SHARDS = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}


def folder(
    place: Path, *names: str, config: str = '{"model_type": "llama"}', index: dict[str, str] | None = None
) -> Path:
    place.mkdir(exist_ok=True)
    for name in names:
        (place / name).write_text(config if name == "config.json" else "{}")
    if index is not None:
        (place / INDEX).write_text(json.dumps({"weight_map": index}))
    return place


def taken(place: Path, consent: bool = False) -> set[str]:
    return {path.name for path in contents.of_model(place, consent)}


def test_a_model_is_its_config_tokenizer_and_weights_and_not_what_lies_beside_them(tmp_path: Path) -> None:
    model = (
        "config.json",
        "tokenizer.json",
        "tokenizer.model",
        "merges.txt",
        "chat_template.jinja",
        "model.safetensors",
    )
    beside = ("pytorch_model.bin", "consolidated.safetensors", "README.md", "modeling_mine.py", "manifest.json")
    assert taken(folder(tmp_path, *model, *beside)) == {*model}
    assert taken(tmp_path, consent=True) == {*model, "modeling_mine.py"}


def test_shards_are_those_of_the_index(tmp_path: Path) -> None:
    place = folder(tmp_path, "config.json", *SHARDS.values(), "consolidated.safetensors", index=SHARDS)
    assert taken(place) == {"config.json", INDEX, *SHARDS.values()}


@pytest.mark.parametrize(
    ("names", "index", "message"),
    [
        (["config.json", "model.safetensors", *SHARDS.values()], SHARDS, "holds weights twice.*remove one of both"),
        (["config.json", SHARDS["a"]], SHARDS, f"{SHARDS['b']}: no such file, though {INDEX} names it"),
        (["config.json", *SHARDS.values()], None, f"has shards .* and no {INDEX}"),
        (["config.json", "weights.safetensors"], None, r"no model.safetensors but weights.safetensors"),
        (["config.json", "pytorch_model.bin"], None, r"no .safetensors but pytorch_model.bin; convert it first"),
        (["config.json"], None, r"no .safetensors; convert"),
        (["model.safetensors"], None, r"config.json: no such file"),
        (["config.json", "model.safetensors", "adapter_config.json"], None, "an adapter .* beside a whole model"),
        (["config.json", "adapter_config.json", "a"], {"a": "a"}, "an adapter .* beside a whole model"),
        (["adapter_config.json", "adapter_model.safetensors"], None, "is an adapter .* name that by `base`"),
        (["config.json", "a"], {"x": "../a"}, "holds no weight map"),
    ],
)
def test_a_folder_that_can_be_read_two_ways_or_none_is_refused(
    tmp_path: Path, names: list[str], index: dict[str, str] | None, message: str
) -> None:
    with pytest.raises(UserError, match=message) as caught:
        taken(folder(tmp_path, *names, index=index))
    assert str(caught.value).startswith(str(tmp_path)) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "config",
    [
        {"quantization_config": {"quant_method": "bitsandbytes", "load_in_4bit": True}},
        {"text_config": {"quantization_config": {"quant_method": "fp8"}}},
        {"compression_config": {"format": "pack-quantized"}},
    ],
)
def test_a_quantised_copy_is_refused_by_how_it_was_made(tmp_path: Path, config: dict) -> None:
    place = folder(tmp_path, "config.json", "model.safetensors", config=json.dumps(config))
    with pytest.raises(UserError, match=r"config\.json: .*quantised.*load the unquantised model"):
        taken(place)


def test_a_config_that_names_other_weights_is_refused(tmp_path: Path) -> None:
    config = json.dumps({"model_type": "llama", "transformers_weights": "other.safetensors"})
    with pytest.raises(UserError, match="transformers_weights names other.safetensors"):
        taken(folder(tmp_path, "config.json", "model.safetensors", "other.safetensors", config=config))


def test_an_adapter_is_its_settings_and_safetensors(tmp_path: Path) -> None:
    names = ("adapter_config.json", "adapter_model.safetensors", "tokenizer.json")
    place = folder(tmp_path, *names, "training_args.bin", "modeling_mine.py")
    assert {path.name for path in contents.of_adapter(place)} == {*names}
    (place / "adapter_model.safetensors").unlink()
    with pytest.raises(UserError, match="has no adapter_model.safetensors"):
        contents.of_adapter(place)


def test_a_model_with_a_base_is_no_adapter(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no adapter; remove `base`"):
        contents.of_adapter(folder(tmp_path, "config.json", "model.safetensors"))
