"""The transformers engine answers as the model does, whatever else is in the batch."""

import shutil
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer, CohereConfig, CohereForCausalLM, PreTrainedTokenizerFast

from tests import families
from tests.models import checks
from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.generate.engine import check, start
from workflow_scripts.generate.engines._base import WINDOW, Completion
from workflow_scripts.models import directory

RECIPE = {
    "engine": "transformers",
    "batch_size": 4,
    "max_new_tokens": 8,
    "temperature": 0.0,
    "top_p": 1.0,
    "seed": 5,
    "threads": 1,
    "precision": "float32",
    "tensor_parallel": 1,
    "max_model_len": 40,
}
PROMPTS = [" ".join(f"w{(7 * i + 3 * j) % 20}" for j in range(1 + (5 * i) % 9)) for i in range(70)]
TEMPLATE = (
    "{% for message in messages %}{{ '<user>' + message['content'] + '<end>' }}{% endfor %}"
    "{% if add_generation_prompt %}<bot>{% endif %}"
)


def make(path: Path, seed: int, hidden_size: int = 32) -> Path:
    """A random model whose completions are of many lengths."""
    from tokenizers import Tokenizer, models, pre_tokenizers

    special = ["<pad>", "<unk>", "<user>", "<bot>", "<end>"]
    vocabulary = {word: index for index, word in enumerate([*special, *(f"w{i}" for i in range(20))])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token="<pad>",
        unk_token="<unk>",
        eos_token="<end>",
        additional_special_tokens=["<user>", "<bot>"],
        chat_template=TEMPLATE,
    ).save_pretrained(path)
    torch.manual_seed(seed)
    config = CohereConfig(
        vocab_size=len(vocabulary),
        hidden_size=hidden_size,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        logit_scale=1.0,
        initializer_range=0.4,
        pad_token_id=0,
        bos_token_id=2,
        eos_token_id=4,
    )
    CohereForCausalLM(config).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("models") / "one", seed=0)


def answer(model: Path, prompts: list[str], **changes: Any) -> list[Completion]:
    return list(start({**RECIPE, **changes}, model).generate(prompts))


def test_greedy_answers_are_those_of_transformers_own_generation(model: Path) -> None:
    network, tokenizer = AutoModelForCausalLM.from_pretrained(model), AutoTokenizer.from_pretrained(model)
    expected = []
    for prompt in PROMPTS:
        ids = torch.tensor([tokenizer(f"<user>{prompt}<end><bot>")["input_ids"]])
        out = network.generate(ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=8)[
            0, ids.shape[1] :
        ]
        reason = "stop" if out[-1] == 4 else "length"
        expected.append((tokenizer.decode(out, skip_special_tokens=True), reason, ids.shape[1], len(out)))
    answers = answer(model, PROMPTS)
    assert answers == expected
    assert len(Counter(a.completion_tokens for a in answers)) > 3 and {a.finish_reason for a in answers} == {
        "stop",
        "length",
    }


@pytest.mark.parametrize(
    "family", ["gpt2", "opt", "bloom", "gemma3", "mixtral", "lfm2", "qwen3_5", "falcon_h1", "mamba2"]
)
def test_greedy_answers_of_other_families_are_those_of_transformers_own_generation(family: str, tmp_path: Path) -> None:
    checks.generate(families.make(family, tmp_path / family), tmp_path)


def test_a_model_that_keeps_its_state_inside_is_refused_by_its_kind(tmp_path: Path) -> None:
    model = families.make("recurrent_gemma", tmp_path / "model")
    for ask in (partial(start, RECIPE), partial(check, "transformers")):
        with pytest.raises(UserError, match=r"type recurrent_gemma, which keeps its state.*generation\.engine: vllm"):
            ask(model)
    check("transformers", families.make("falcon_h1", tmp_path / "other"))


def test_a_prompt_of_tokens_that_the_model_does_not_know_is_refused_with_their_ids(model: Path, tmp_path: Path) -> None:
    grown = tmp_path / "grown"
    shutil.copytree(model, grown)
    tokenizer = AutoTokenizer.from_pretrained(grown)
    tokenizer.add_tokens(["<new>"])
    tokenizer.save_pretrained(grown)
    with pytest.raises(UserError, match=r"embedding has 25 rows.*: 25 \(<new>\).*resize"):
        answer(grown, ["w1 <new>"])
    assert answer(grown, PROMPTS[:3]) == answer(model, PROMPTS[:3])


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_an_answer_depends_on_no_other_prompt(model: Path, temperature: float) -> None:
    together = answer(model, PROMPTS, temperature=temperature)
    assert answer(model, PROMPTS[::-1], temperature=temperature, batch_size=16) == together[::-1]
    assert answer(model, PROMPTS[3:4], temperature=temperature) == together[3:4]


def test_sampling_follows_the_seed(model: Path) -> None:
    hot = {"temperature": 1.0}
    assert answer(model, PROMPTS, **hot) == answer(model, PROMPTS, **hot) != answer(model, PROMPTS, **hot, seed=6)


def test_a_tiny_top_p_is_greedy(model: Path) -> None:
    assert answer(model, PROMPTS, temperature=1.0, top_p=1e-6) == answer(model, PROMPTS)


def test_sampling_draws_from_the_models_own_distribution(model: Path) -> None:
    engine: Any = start({**RECIPE, "temperature": 2.0, "top_p": 0.9}, model)
    logits = torch.tensor([[4.0, 2.0, 0.0, -2.0, -8.0]])
    pick = engine._sampler(list(range(4000)))
    drawn = pick(logits.expand(4000, -1), list(range(4000))).bincount(minlength=5) / 4000
    expected = (logits[0] / 2).softmax(-1)  # .64, .23, .087, .03: the third crosses 0.9, so the last two go
    expected = expected.where(torch.arange(5) < 3, 0.0)
    torch.testing.assert_close(drawn, expected / expected.sum(), atol=0.03, rtol=0)


def test_whole_batches_are_given_before_later_ones_are_started(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    stream = start({**RECIPE, "batch_size": 2}, model).generate(PROMPTS)
    first = next(stream)
    assert work_counter.totals(tmp_path / "meter") == {"completions": 2 * WINDOW}
    assert [first, *stream] == answer(model, PROMPTS)
    assert work_counter.totals(tmp_path / "meter") == {"completions": 2 * len(PROMPTS)}


def test_one_engine_serves_a_second_model_as_a_fresh_one_would(model: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "two", seed=1)
    engine = start(RECIPE, model)
    first = list(engine.generate(PROMPTS))
    engine.exchange(other)
    assert list(engine.generate(PROMPTS)) == answer(other, PROMPTS) != first


def test_models_of_two_architectures_are_not_exchanged(model: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "two", seed=1)
    config = other / "config.json"
    config.write_text(config.read_text().replace('"logit_scale": 1.0', '"logit_scale": 0.5'))
    with pytest.raises(UserError, match=r"two/config\.json"):
        start(RECIPE, model).exchange(other)


def test_a_model_that_lacks_a_tensor_is_not_exchanged(model: Path, tmp_path: Path) -> None:
    other = make(tmp_path / "two", seed=1)
    tensors = load_file(other / "model.safetensors")
    del tensors["model.norm.weight"]
    save_file(tensors, other / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(UserError, match=r"model\.norm\.weight"):
        start(RECIPE, model).exchange(other)


def test_a_model_whose_files_are_gone_can_be_exchanged(model: Path, tmp_path: Path) -> None:
    gone = make(tmp_path / "gone", seed=1)
    engine = start(RECIPE, gone)
    for file in gone.iterdir():
        file.unlink()
    engine.exchange(model)
    assert list(engine.generate(PROMPTS)) == answer(model, PROMPTS)


def test_a_prompt_that_leaves_no_room_is_a_user_error(model: Path) -> None:
    with pytest.raises(UserError, match="max_model_len"):
        answer(model, ["w1 " * 30])


def test_a_broken_model_is_named_by_file(model: Path, tmp_path: Path) -> None:
    broken = make(tmp_path / "broken", seed=0)
    weights = broken / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-4])
    with pytest.raises(UserError, match=r"broken/model\.safetensors"):
        start(RECIPE, broken)


def test_no_prompts_give_no_answers(model: Path) -> None:
    assert answer(model, []) == []


def test_sharded_models_are_read_whole(model: Path, tmp_path: Path) -> None:
    sharded = make(tmp_path / "sharded", seed=0)
    tensors = load_file(sharded / "model.safetensors")
    (sharded / "model.safetensors").unlink()
    CohereForCausalLM.from_pretrained(model).save_pretrained(sharded, max_shard_size="20KB")
    shards = sorted(sharded.glob("*.safetensors"))
    assert len(shards) > 1 and directory.tensors(sharded).keys() == tensors.keys()
    assert answer(sharded, PROMPTS) == answer(model, PROMPTS)
    shards[-1].unlink()
    with pytest.raises(UserError, match=shards[-1].name):
        start(RECIPE, sharded)
