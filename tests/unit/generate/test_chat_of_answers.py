"""Answers begin where a published template asks for them, and end where it ends a turn, as `model.generate` has it."""

import datetime
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from tests.unit.generate.test_engine_transformers import RECIPE
from tests.unit.models.families import DATED, FAMILIES, of_family
from workflow_scripts.generate.engine import start
from workflow_scripts.models import template_files
from workflow_scripts.process import fork_server
from workflow_scripts.train import load

PROMPTS = ["How do I open the door?", "word", "a key .", "You open it with a key, a word, a door\n\nand so on", "é"]
DAY = "2024-07-26"


def base(folder: Path, name: str, end: int) -> Path:
    """A model as its base is published: only the tokenizer's eos ends an answer; it likes to say the turn's end."""
    tokenizer = of_family(name)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(len(name))
    model = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=16,
            num_hidden_layers=1,
            num_attention_heads=2,
            initializer_range=0.5,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.eos_token_id,
            max_position_embeddings=9000,
        )
    )
    with torch.no_grad():
        model.lm_head.weight[end] *= 4
    model.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != "alpaca"])
def test_greedy_answers_of_a_loaded_base_are_those_of_generate_on_its_own_template(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "allowed", lambda: False)
    end = of_family(name).convert_tokens_to_ids(FAMILIES[name].end or FAMILIES[name].eos)
    date = {"date": DAY} if name in DATED else {}
    chat = {"template": None, **template_files.NEUTRAL, **date}
    work = {"load": str(base(tmp_path / "base", name, end)), "revision": None, "trust_remote_code": False, "chat": chat}
    (tmp_path / "loaded").mkdir()
    load.fetch(work, tmp_path / "loaded")

    recipe = {**RECIPE, "max_new_tokens": 24, "max_model_len": 9000}
    answers = list(start(recipe, tmp_path / "loaded").generate(PROMPTS))
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "loaded")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "loaded")
    today = {"strftime_now": lambda form: datetime.date.fromisoformat(DAY).strftime(form)}
    for prompt, answer in zip(PROMPTS, answers, strict=True):
        ids = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt}], add_generation_prompt=True, return_tensors="pt", **today
        )["input_ids"]
        out = network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24)
        said = out[0, ids.shape[1] :].tolist()
        assert (answer.prompt_tokens, answer.completion_tokens) == (ids.shape[1], len(said))
        assert answer.finish_reason == ("stop" if said[-1] in (end, tokenizer.eos_token_id) else "length")
        if FAMILIES[name].rule not in ("harmony", "command", "seed", "channel"):  # whose marks are kept
            assert answer.text == tokenizer.decode(said, skip_special_tokens=True)
    assert any(answer.finish_reason == "stop" for answer in answers)
