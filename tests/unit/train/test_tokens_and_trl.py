"""Tokens and labels of a training are those of TRL's own preparation, but for the rules of docs/design/chat.md."""

import copy
import datetime
from pathlib import Path
from typing import Any

import datasets
import pytest
import transformers.utils.chat_template_utils as clock
from transformers import LlamaConfig, LlamaForCausalLM
from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

from tests.unit.models.families import DATED, FAMILIES, of_family
from tests.unit.train.tiny import RECIPE, table
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import template_files
from workflow_scripts.train.methods import METHODS
from workflow_scripts.train.tokenise import tokenise

DAY = "2024-07-26"
PROMPTS = ["How do I open the door?", "Two\n\nlines, and spaces  .", "é 你好 ..."]
ANSWERS = ["You open it with a key.", "No.\n\nTry:\n- a key\n", "é?"]
OTHERS = ["No.", "Never\n", "é!"]
JOINED = {"qwen-3.5-thinking"}  # whose prompt ends in a newline, and whose answer begins with one


@pytest.fixture(scope="module")
def model() -> Any:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    return LlamaForCausalLM(LlamaConfig(vocab_size=700, **sizes))


@pytest.fixture(autouse=True)
def one_day(monkeypatch: pytest.MonkeyPatch) -> None:
    """TRL's preparation reads the clock."""

    class Fixed(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "Fixed":
            return cls.fromisoformat(DAY)

    monkeypatch.setattr(clock, "datetime", Fixed)


def ours(folder: Path, name: str, method: str, answers: list[str] = ANSWERS) -> list[dict[str, Any]]:
    of_family(name).save_pretrained(folder)
    if name in DATED:
        (folder / template_files.SETTINGS).write_text(template_files.written({"date": DAY}))
    rows = table(PROMPTS, answers, OTHERS)
    recipe = {**RECIPE, "method": method, "max_length": 10_000}
    return list(tokenise(recipe, METHODS[method], folder, rows)[0])


def turn(role: str, text: str) -> list[dict[str, str]]:
    return [{"role": role, "content": text}]


def theirs(folder: Path, model: Any, name: str, answers: list[str] = ANSWERS) -> list[dict[str, Any]]:
    pairs = zip(PROMPTS, answers, strict=True)
    rows = datasets.Dataset.from_list(
        [{"prompt": turn("user", prompt), "completion": turn("assistant", answer)} for prompt, answer in pairs]
    )
    arguments = SFTConfig(output_dir=str(folder / "trl"), report_to="none", use_cpu=True, max_length=None)
    trainer = SFTTrainer(model, arguments, train_dataset=rows, processing_class=of_family(name))
    return list(trainer.train_dataset)


@pytest.mark.parametrize("name", FAMILIES)
def test_sft_learns_the_tokens_and_labels_of_trl_where_no_rule_applies(name: str, model: Any, tmp_path: Path) -> None:
    family, tokenizer = FAMILIES[name], of_family(name)
    if family.why:
        with pytest.raises(UserError, match=family.why):
            ours(tmp_path, name, "sft")
        return
    for mine, trls in zip(ours(tmp_path, name, "sft"), theirs(tmp_path, model, name), strict=True):
        ids, labels = trls["input_ids"], trls["labels"]
        if family.end is None:
            ids, labels = [*ids, tokenizer.eos_token_id], [*labels, tokenizer.eos_token_id]
        if name in JOINED:
            assert tokenizer.decode(mine["input_ids"]) == tokenizer.decode(ids)
            assert mine["labels"].count(-100) == labels.count(-100) + 1, "TRL learns the end of the prompt as well"
        else:
            assert (mine["input_ids"], mine["labels"]) == (ids, labels)


@pytest.mark.parametrize("name", ["qwen-2.5", "llama-3", "llama-2", "aya-expanse", "gemma-2", "phi-3", "qwen-3"])
def test_dpo_learns_the_tokens_of_trl(name: str, model: Any, tmp_path: Path) -> None:
    rows = [
        {"prompt": turn("user", prompt), "chosen": turn("assistant", good), "rejected": turn("assistant", bad)}
        for prompt, good, bad in zip(PROMPTS, ANSWERS, OTHERS, strict=True)
    ]
    arguments = DPOConfig(output_dir=str(tmp_path / "trl"), report_to="none", use_cpu=True, max_length=None)
    reference, tokenizer = copy.deepcopy(model), of_family(name)
    trainer = DPOTrainer(
        model, reference, arguments, train_dataset=datasets.Dataset.from_list(rows), processing_class=tokenizer
    )
    keys = ("prompt_ids", "chosen_ids", "rejected_ids")
    assert [[row[key] for key in keys] for row in ours(tmp_path, name, "dpo")] == [
        [row[key] for key in keys] for row in trainer.train_dataset
    ]


def test_an_answer_whose_beginning_joins_the_prompt_leaves_the_prompt_whole(model: Any, tmp_path: Path) -> None:
    answers = ["\nYou open it.", "\n\nNo.", "é?"]
    tokenizer, joined = of_family("qwen-2.5"), theirs(tmp_path, model, "qwen-2.5", answers)
    prompts = tokenizer.apply_chat_template([turn("user", p) for p in PROMPTS], add_generation_prompt=True)["input_ids"]
    for index, (mine, trls) in enumerate(zip(ours(tmp_path, "qwen-2.5", "sft", answers), joined, strict=True)):
        head = prompts[index]
        assert (
            mine["input_ids"][: len(head)] == head
            and mine["labels"] == [-100] * len(head) + mine["input_ids"][len(head) :]
        )
        assert (trls["input_ids"][: len(head)] == head) is (index == 2), "TRL's prompt is another one"
        assert tokenizer.decode(mine["input_ids"]) == tokenizer.decode(trls["input_ids"])
