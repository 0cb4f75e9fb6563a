"""What the tensors on a disk are called, and what transformers would call them."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import families
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import canonical, network

KINDS = [
    "llama",
    "cohere",
    "gpt2",
    "gpt_neox",
    "gemma3",
    "mistral3",
    "qwen3_5",
    "mixtral",
    "qwen3_moe",
    "gpt_oss",
    "lfm2",
]


def rewrite(model: Path, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Put other tensors into a model's file."""
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, model / "model.safetensors")
    return tensors


def tensors_of(model: Path) -> dict[str, torch.Tensor]:
    return load_file(model / "model.safetensors")


def check_against_transformers(model: Path, scratch: Path) -> canonical.Layout:
    """Names, shapes and numbers by the layout are those of a file that transformers itself writes."""
    layout, on_disk = canonical.layout(model), tensors_of(model)
    network.load(model, torch.float32).save_pretrained(scratch)
    written = tensors_of(scratch)
    assert {layout.names[name] for name in layout.names} == written.keys() == layout.tensors.keys()
    assert all(torch.equal(written[layout.names[name]], on_disk[name]) for name in layout.names)
    assert {name: tensor.shape for name, tensor in layout.tensors.items()} == {
        n: tuple(t.shape) for n, t in written.items()
    }
    assert set(layout.unused) == on_disk.keys() - layout.names.keys()
    return layout


@pytest.mark.parametrize("family", KINDS)
def test_published_names_are_canonical(family: str, tmp_path: Path) -> None:
    layout = check_against_transformers(families.make(family, tmp_path / "model"), tmp_path / "saved")
    assert all(name == canonical_name for name, canonical_name in layout.names.items()) and not layout.unused


def test_gpt2_as_on_the_hub_has_its_first_word_added_and_its_buffers_left_out(tmp_path: Path) -> None:
    model = families.make("gpt2", tmp_path / "model")
    found = {name.removeprefix("transformer."): tensor for name, tensor in tensors_of(model).items()}
    buffers = {"h.0.attn.bias": torch.ones(1, 1, 8, 8).tril(), "h.0.attn.masked_bias": torch.tensor(-1e4)}
    rewrite(model, {**found, **buffers})
    layout = check_against_transformers(model, tmp_path / "saved")
    assert layout.names["h.0.attn.c_attn.weight"] == "transformer.h.0.attn.c_attn.weight"
    assert layout.unused == tuple(buffers)


@pytest.mark.parametrize(
    ("family", "buffer"),
    [
        ("llama", {"model.layers.0.self_attn.rotary_emb.inv_freq": torch.ones(4)}),
        ("gpt_neox", {"gpt_neox.layers.0.attention.bias": torch.ones(1, 1, 8, 8).bool()}),
        ("gpt_neox", {"gpt_neox.layers.0.attention.masked_bias": torch.tensor(-1e9)}),
    ],
)
def test_buffers_that_older_versions_saved_are_no_part_of_the_model(
    family: str, buffer: dict[str, torch.Tensor], tmp_path: Path
) -> None:
    model = families.make(family, tmp_path / "model")
    rewrite(model, {**tensors_of(model), **buffer})
    assert check_against_transformers(model, tmp_path / "saved").unused == tuple(buffer)


def test_a_wrapper_saved_under_the_names_it_has_in_memory_is_read_and_written_back_so(tmp_path: Path) -> None:
    model = families.make("gemma3", tmp_path / "model")
    net = network.load(model, torch.float32)
    in_memory = {name: tensor.detach().clone() for name, tensor in net.state_dict().items() if name != "lm_head.weight"}
    assert in_memory.keys() != tensors_of(model).keys()
    rewrite(model, in_memory)
    check_against_transformers(model, tmp_path / "saved")


def test_an_output_head_that_is_the_embedding_again_is_left_out(tmp_path: Path) -> None:
    model = families.make("cohere", tmp_path / "model")
    found = tensors_of(model)
    rewrite(model, {**found, "lm_head.weight": found["model.embed_tokens.weight"].clone()})
    assert check_against_transformers(model, tmp_path / "saved").unused == ("lm_head.weight",)


def test_a_tied_output_head_that_differs_is_refused(tmp_path: Path) -> None:
    model = families.make("cohere", tmp_path / "model")
    found = tensors_of(model)
    rewrite(model, {**found, "lm_head.weight": found["model.embed_tokens.weight"] + 1})
    with pytest.raises(UserError, match=r"config\.json: tie_word_embeddings is true, but lm_head\.weight differs"):
        canonical.layout(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model.norm.weight": None}, r"model\.norm\.weight is in no file"),
        ({"model.norm.weight": torch.zeros(3, 5)}, r"model\.norm\.weight is 3 x 5 on disk, and 32 by config\.json"),
        ({"v_head.weight": torch.zeros(3)}, r"v_head\.weight is no part of the architecture in config\.json"),
        ({"model.norm.weight": torch.zeros(32, dtype=torch.uint8)}, r"model\.norm\.weight is U8; load the unquantised"),
    ],
)
def test_tensors_that_do_not_fit_config_json_are_named(
    change: dict[str, torch.Tensor | None], message: str, tmp_path: Path
) -> None:
    model = families.make("llama", tmp_path / "model")
    changed = {**tensors_of(model), **change}
    rewrite(model, {name: tensor for name, tensor in changed.items() if tensor is not None})
    with pytest.raises(UserError, match=f"^{model}: tensor .*{message}") as caught:
        canonical.layout(model)
    assert "\n" not in str(caught.value)


def test_an_expert_of_another_shape_is_named(tmp_path: Path) -> None:
    model = families.make("mixtral", tmp_path / "model")
    odd = "model.layers.1.block_sparse_moe.experts.2.w1.weight"
    rewrite(model, {**tensors_of(model), odd: torch.zeros(3, 5)})
    with pytest.raises(UserError, match=f"{odd} is 3 x 5, others 64 x 32"):
        canonical.layout(model)


def test_a_config_with_more_layers_than_tensors_is_refused_before_it_is_built(tmp_path: Path) -> None:
    model = families.make("llama", tmp_path / "model")
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 10**9}))
    with pytest.raises(UserError, match=r"config\.json: num_hidden_layers is 1000000000, but there are 21 tensors"):
        canonical.layout(model)
