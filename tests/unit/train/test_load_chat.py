"""A model is loaded with its chat settled: what trainings, merges and answers read of it is in its folder."""

import json
from pathlib import Path
from typing import Any

import pytest
from transformers import Qwen2Config, Qwen2ForCausalLM

from tests.unit.models.families import CHATML, of_family, template, tokenizer
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import template_files
from workflow_scripts.models.chat import Chat
from workflow_scripts.process import fork_server
from workflow_scripts.train import load

NEUTRAL = {"template": None, **template_files.NEUTRAL}
LOOP = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(999) %}" + 3 * "{% endfor %}"


def write_config(folder: Path, eos: int) -> None:
    """The config.json of a tiny model."""
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "vocab_size": 1000}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "tie_word_embeddings": True}
    config = Qwen2Config(**sizes, **heads, eos_token_id=eos, architectures=["Qwen2ForCausalLM"])
    (folder / "config.json").write_text(config.to_json_string())


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fork_server, "allowed", lambda: False)


def fetched(tmp_path: Path, made: Any, **chat: Any) -> tuple[Path, dict[str, Any]]:
    """A model with a tokenizer, loaded."""
    source, output = tmp_path / "model", tmp_path / "output"
    source.mkdir(exist_ok=True)
    output.mkdir(exist_ok=True)
    write_config(source, eos=0)
    Qwen2ForCausalLM(Qwen2Config.from_pretrained(source)).save_pretrained(source)
    (source / "generation_config.json").unlink()
    write_config(source, eos=0)
    if made is not None:
        made.save_pretrained(source)
    work = {"load": str(source), "revision": None, "trust_remote_code": False, "chat": {**NEUTRAL, **chat}}
    return output, load.fetch(work, output)


def test_what_is_neutral_leaves_the_files_as_they_are(tmp_path: Path) -> None:
    output, facts = fetched(tmp_path, tokenizer(chat_template=template("qwen-2.5"), eos="<|im_end|>"))
    assert facts == {}
    for file in (tmp_path / "model").iterdir():
        assert (output / file.name).read_bytes() == file.read_bytes()


def test_a_base_names_the_end_of_its_turn_for_all_that_is_made_of_it(tmp_path: Path) -> None:
    output, _ = fetched(tmp_path, of_family("qwen-2.5"))
    assert json.loads((output / "generation_config.json").read_text())["eos_token_id"] == [0, 2]
    assert not (tmp_path / "model/generation_config.json").exists(), "the user's folder is left alone"


def test_the_chat_of_the_config_is_in_the_folder_and_in_every_prompt(tmp_path: Path) -> None:
    chat = {"template": template("qwen-3"), "arguments": {"enable_thinking": False}, "system": "Be brief."}
    output, facts = fetched(tmp_path, tokenizer(added=("<think>", "</think>")), **chat)
    assert (output / "chat_template.jinja").read_text() == template("qwen-3")
    assert json.loads((output / "mixmerge_chat.json").read_text()) == {
        "arguments": {"enable_thinking": False},
        "system": "Be brief.",
    }
    assert facts == {"reasoning": {"rule": "think", "is_open": False}}
    one = Chat.open(output)
    (prompt,) = one.prompts([[{"role": "user", "content": "Hi"}]])
    text = one.tokenizer.decode(prompt)
    assert "system\nBe brief." in text and text.endswith("<think>\n\n</think>\n\n")
    again = {"load": str(output), "revision": None, "trust_remote_code": False, "chat": {**NEUTRAL, "system": "Rhyme."}}
    (tmp_path / "again").mkdir()
    load.fetch(again, tmp_path / "again")
    assert Chat.open(tmp_path / "again").settings["system"] == "Rhyme."
    assert Chat.open(tmp_path / "again").settings["arguments"] == {"enable_thinking": False}


def test_a_prompt_that_opens_a_block_says_so_to_those_who_judge(tmp_path: Path) -> None:
    assert fetched(tmp_path, of_family("qwq"))[1] == {"reasoning": {"rule": "think", "is_open": True}}
    assert fetched(tmp_path, of_family("qwq"), reasoning="none")[1] == {}


def test_a_model_without_template_may_be_a_base_of_merges_but_nothing_can_be_said_of_its_chat(tmp_path: Path) -> None:
    assert fetched(tmp_path, None)[1] == {}
    assert fetched(tmp_path, tokenizer())[1] == {}
    with pytest.raises(UserError, match="model: its tokenizer has no chat template for `chat`; give one"):
        fetched(tmp_path, tokenizer(), system="Be brief.")


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("{% for m in %}", "no chat template in Jinja"),
        ("{{ strftime_now('%Y') }}{{ messages[0].content }}", "asks for today's date.*chat.date"),
        ("{{ 'x' * 99999999999 }}{{ messages[0].content }}", "fails|ended by itself"),
        (LOOP + "{{ messages[0].content }}", "not done in 3 seconds"),
    ],
)
def test_a_template_that_fails_or_hangs_is_refused_when_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str, why: str
) -> None:
    monkeypatch.setattr(load, "SECONDS", 3.0)
    with pytest.raises(UserError, match=why):
        fetched(tmp_path, tokenizer(special=CHATML), template=given)
