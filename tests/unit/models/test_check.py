"""What is seen to, and refused, when a model that exists is taken."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer, GenerationConfig

from tests import families
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import check


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return families.make("llama", tmp_path / "model")


def in_older_files(model: Path) -> None:
    """The same tokenizer as GPT-2, OPT and older Qwen repositories have it."""
    inner = json.loads((model / "tokenizer.json").read_text())
    (model / "vocab.json").write_text(json.dumps(inner["model"]["vocab"]))
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in inner["model"]["merges"]]
    (model / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    settings = json.loads((model / "tokenizer_config.json").read_text())
    added = {str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in inner["added_tokens"]}
    settings |= {"tokenizer_class": "Qwen2Tokenizer", "added_tokens_decoder": added}
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    (model / "tokenizer.json").unlink()


def test_a_tokenizer_in_older_files_gets_tokenizer_json_and_makes_the_same_tokens(model: Path) -> None:
    in_older_files(model)
    text = "How do I wash the lamp?<|end|>\nYou wash it."
    before = AutoTokenizer.from_pretrained(model)(text)["input_ids"]
    check.check(model)
    assert (model / "tokenizer.json").exists()
    assert AutoTokenizer.from_pretrained(model)(text)["input_ids"] == before


def test_a_model_without_a_tokenizer_is_refused(model: Path) -> None:
    for file in ("tokenizer.json", "tokenizer_config.json"):
        (model / file).unlink()
    with pytest.raises(UserError, match=f"^{model}") as caught:
        check.check(model)
    assert "\n" not in str(caught.value) and "tokenizer" in str(caught.value)


@pytest.mark.parametrize("given", [{"temperature": 0.9, "top_p": 0.6}, {"do_sample": False, "top_k": 5, "min_p": 0.1}])
def test_sampling_fields_that_say_nothing_are_left_out_so_that_the_file_can_be_written(model: Path, given: Any) -> None:
    file = model / "generation_config.json"
    file.write_text(json.dumps({"eos_token_id": [2, 4], "repetition_penalty": 1.1, **given}))
    check.check(model)
    GenerationConfig.from_pretrained(model).save_pretrained(model)
    left = json.loads(file.read_text())
    assert (
        left["eos_token_id"] == [2, 4]
        and left["repetition_penalty"] == 1.1
        and not set(given) & check.SAMPLING & set(left)
    )


def test_a_generation_config_that_samples_is_left_alone(model: Path) -> None:
    text = json.dumps({"eos_token_id": 2, "do_sample": True, "temperature": 0.6, "top_p": 0.9})
    (model / "generation_config.json").write_text(text)
    check.check(model)
    assert (model / "generation_config.json").read_text() == text


@pytest.mark.parametrize("content", ["[]", "{", '{"max_new_tokens": -3}', '{"cache_implementation": "nonesuch"}'])
def test_a_generation_config_that_cannot_be_read_is_named(model: Path, content: str) -> None:
    (model / "generation_config.json").write_text(content)
    with pytest.raises(UserError, match=r"generation_config\.json: .*(correct|restore)") as caught:
        check.check(model)
    assert "\n" not in str(caught.value)
