import json
from pathlib import Path

import pytest
from transformers import AutoTokenizer

from tests.unit.train.tiny import (
    ARCHITECTURE,
    ROWS,
    bits,
    words,
)
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory
from workflow_scripts.train import random_model


def test_same_seed_makes_the_same_bytes_and_another_seed_other_weights(parent: Path, tmp_path: Path) -> None:
    for seed in (0, 1):
        random_model.initialise({"architecture": ARCHITECTURE, "seed": seed}, ROWS, tmp_path / str(seed))
    assert bits(tmp_path / "0") == bits(parent)
    differing = {name for name, value in bits(tmp_path / "1").items() if bits(parent)[name] != value}
    assert differing == {"model.safetensors"}


def test_initialised_model_is_shaped_like_aya(parent: Path) -> None:
    config = json.loads((parent / "config.json").read_text())
    assert config["architectures"] == ["CohereForCausalLM"]
    assert config["use_qk_norm"] is False and config["tie_word_embeddings"] is True and config["logit_scale"] == 0.5
    assert "_name_or_path" not in config
    names = {name: tensor.dtype for name, tensor in directory.tensors(parent).items()}
    assert "lm_head.weight" not in names and not any("q_norm" in name for name in names)
    assert set(names.values()) == {"F32"}


def test_tokenizer_gives_pre_spaced_text_back_and_names_unknown_words(parent: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(parent)
    for text in (words(5, 9), "w1"):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.convert_ids_to_tokens(tokenizer("w1 zebra")["input_ids"]) == ["w1", "<UNK>"]


def test_prompt_with_generation_prompt_is_an_exact_prefix(parent: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(parent)
    turns = [{"role": "user", "content": "w1 w2"}, {"role": "assistant", "content": "w3"}]
    prompt = tokenizer.apply_chat_template(turns[:1], tokenize=False, add_generation_prompt=True)
    whole = tokenizer.apply_chat_template(turns, tokenize=False)
    assert whole == prompt + "w3<|END_OF_TURN_TOKEN|>"
    assert tokenizer.eos_token == "<|END_OF_TURN_TOKEN|>"


@pytest.mark.parametrize("wrong", [{"hidden_size": "wide"}, {"hiden_size": 16}])
def test_a_wrong_architecture_is_a_user_error(tmp_path: Path, wrong: dict) -> None:
    with pytest.raises(UserError, match=f"architecture.*{next(iter(wrong))}"):
        random_model.initialise({"architecture": {**ARCHITECTURE, **wrong}, "seed": 0}, ROWS, tmp_path / "x")
