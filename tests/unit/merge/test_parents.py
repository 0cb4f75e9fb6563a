"""Parents are compared by what they compute and what their tokens mean, not by how a tool saved them."""

import copy
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM

from workflow_scripts.base.errors import UserError
from workflow_scripts.merge import with_mergekit

SIZES = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
SIZES |= {"num_key_value_heads": 1, "vocab_size": 32, "head_dim": 8}
LINEAR = {"method": "linear", "weights": [0.5, 0.5]}
SCALED = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}


def saved(folder: Path, kind: str, **more: object) -> dict:
    """A tiny random model as transformers saves it; its config.json."""
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(kind, **SIZES, **more))
    model.save_pretrained(folder)
    return dict(json.loads((folder / "config.json").read_text()))


def beside(folder: Path, name: str, config: dict, tensors: dict | None = None) -> Path:
    """The same model with another config.json, or other tensors."""
    copied = Path(shutil.copytree(folder, folder.with_name(name)))
    (copied / "config.json").write_text(json.dumps(config))
    if tensors is not None:
        save_file(tensors, copied / "model.safetensors", metadata={"format": "pt"})
    return copied


def merged(one: Path, other: Path, **recipe: object) -> dict[str, torch.Tensor]:
    output = one.with_name("merged")
    with_mergekit.merge(LINEAR | recipe, [one, other], None, output)
    return load_file(output / "model.safetensors")


def old_llama(config: dict, **more: object) -> dict:
    """The config.json as transformers 4 wrote it."""
    kept = {key: value for key, value in config.items() if key not in ("rope_parameters", "dtype")}
    theta = config["rope_parameters"]["rope_theta"]
    return kept | {"rope_theta": theta, "rope_scaling": None, "torch_dtype": "float32", "_name_or_path": "x"} | more


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        ("llama", lambda c: c, old_llama),
        ("llama", lambda c: {**c, "unsloth_version": "2025.3.1"}, lambda c: {**c, "unsloth_version": "2025.6.2"}),
        ("llama", lambda c: {**c, "pretraining_tp": 1}, lambda c: {**c, "pretraining_tp": 2}),
        ("llama", lambda c: {**c, "output_attentions": False}, lambda c: {**c, "output_attentions": True}),
        ("llama", lambda c: {**c, "id2label": {"0": "a", "1": "b"}}, lambda c: {**c, "id2label": {"0": "c", "1": "d"}}),
        (
            "llama",
            lambda c: old_llama(c, rope_scaling={**SCALED, "rope_type": "llama3"}),
            lambda c: {**c, "rope_parameters": {**c["rope_parameters"], **SCALED, "rope_type": "llama3"}},
        ),
        (
            "llama",
            lambda c: old_llama(c, rope_scaling={"factor": 2.0, "type": "linear"}),
            lambda c: old_llama(c, rope_scaling={"factor": 2.0, "rope_type": "linear"}),
        ),
        ("qwen2", lambda c: {**c, "sliding_window": 131072}, lambda c: {**c, "sliding_window": None}),
        ("qwen2", lambda c: {**c, "max_window_layers": 28}, lambda c: {**c, "max_window_layers": 2}),
    ],
)
def test_configs_that_mean_the_same_merge(tmp_path: Path, kind: str, one, other) -> None:
    config = saved(tmp_path / "model", kind)
    pair = [
        beside(tmp_path / "model", name, change(copy.deepcopy(config))) for name, change in (("a", one), ("b", other))
    ]
    kept = load_file(tmp_path / "model/model.safetensors")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in merged(*pair).items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rms_norm_eps": 0.1}, "rms_norm_eps is 0.1, not 1e-06"),
        ({"hidden_act": "gelu"}, 'hidden_act is "gelu", not "silu"'),
        ({"rope_theta": 5e5}, "rope_parameters is "),
        ({"tie_word_embeddings": True}, "tie_word_embeddings is true, not false|differs from"),
    ],
)
def test_configs_that_mean_another_function_are_refused(tmp_path: Path, change: dict, said: str) -> None:
    config = saved(tmp_path / "model", "llama", tie_word_embeddings=False)
    with pytest.raises(UserError, match=said) as caught:
        merged(tmp_path / "model", beside(tmp_path / "model", "b", old_llama(config, **change)))
    assert "\n" not in str(caught.value)


def test_a_tied_head_and_old_buffers_in_one_file_are_no_difference(tmp_path: Path) -> None:
    config = saved(tmp_path / "model", "llama", tie_word_embeddings=True)
    tensors = load_file(tmp_path / "model/model.safetensors")
    more = {
        "lm_head.weight": tensors["model.embed_tokens.weight"].clone(),
        "model.layers.0.self_attn.rotary_emb.inv_freq": torch.arange(4.0),
    }
    other = beside(tmp_path / "model", "b", config, tensors | more)
    for pair in ((tmp_path / "model", other), (other, tmp_path / "model")):
        assert merged(*pair).keys() == tensors.keys()


def tokenizer(folder: Path, words: list[str], template: str = "{{ messages }}") -> None:
    vocabulary = {word: number for number, word in enumerate(words)}
    content = {"model": {"type": "WordLevel", "vocab": vocabulary}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    (folder / "chat_template.jinja").write_text(template)


def test_tokens_that_mean_something_else_are_refused_and_others_need_a_choice(tmp_path: Path) -> None:
    config = saved(tmp_path / "model", "llama")
    one, other = tmp_path / "model", beside(tmp_path / "model", "b", config)
    tokenizer(one, ["a", "b"])
    tokenizer(other, ["a", "c"])
    with pytest.raises(UserError, match="b: token 1 is 'c', not 'b' as in"):
        merged(one, other, tokenizer_from=0)
    tokenizer(other, ["a", "b", "new"])
    with pytest.raises(UserError, match="b: its vocabulary is not that of .*tokenizer_from"):
        merged(one, other)
    merged(one, other, tokenizer_from=1)
    assert "new" in (tmp_path / "merged/tokenizer.json").read_text()
    tokenizer(other, ["a", "b"], template="{{ another }}")
    with pytest.raises(UserError, match="b: its chat template is not that of .*tokenizer_from"):
        merged(one, other)
    merged(one, other, tokenizer_from=0)
    assert (tmp_path / "merged/chat_template.jinja").read_text() == "{{ messages }}"
