"""Tiny random models of the families that people use (families.yaml), as their publishers would leave them."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml

PAD, BOS, EOS, START, END = range(5)
SPECIAL = ("<pad>", "<bos>", "<eos>", "<|start|>", "<|end|>", "<image>", "<video>", "<vision>", "</vision>")
TEMPLATE = (
    "{% for message in messages %}{{ '<|start|>' + message['role'] + '\n' + message['content'] + '<|end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|start|>assistant\n' }}{% endif %}"
)
TINY = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
}
FAMILIES: dict[str, dict[str, Any]] = yaml.safe_load(Path(__file__).with_suffix(".yaml").read_text(encoding="utf-8"))


def config(name: str) -> dict[str, Any]:
    """The config.json of a family's published member."""
    return {"model_type": name, **json.loads(json.dumps(FAMILIES[name]["config"]))}


def small(name: str, words: int) -> dict[str, Any]:
    """The config.json of its tiny member: with every flag, but without dropout, so that numbers can be compared."""
    made = config(name)
    inner = made.get("text_config", made)
    inner.update({key: size for key, size in TINY.items() if key in inner or key == "max_position_embeddings"})
    for key, value in FAMILIES[name].get("small", {}).items():
        made[key] = {**made.get(key, {}), **value} if isinstance(value, dict) else value
    ids = {"bos_token_id": BOS, "eos_token_id": EOS, "pad_token_id": PAD}
    made.get("text_config", made).update({"vocab_size": words, "initializer_range": 0.2, **ids})
    return {**made, **{key: 0.0 for key in made if "drop" in key}, **ids}


@cache
def tokenizer() -> Any:
    """A byte-level one of some English words, whose first tokens are `SPECIAL`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    inner.train_from_iterator(
        ["How do I wash the lamp? You wash it with a cup and a paper.", "user assistant system"] * 4,
        trainers.BpeTrainer(vocab_size=320, special_tokens=list(SPECIAL), initial_alphabet=alphabet),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=inner,
        pad_token=SPECIAL[PAD],
        bos_token=SPECIAL[BOS],
        eos_token=SPECIAL[EOS],
        additional_special_tokens=list(SPECIAL[START:]),
        chat_template=TEMPLATE,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def make(name: str, folder: Path, dtype: str = "float32", seed: int = 0, **changes: Any) -> Path:
    """A tiny random model of a family as its publisher would leave it: config.json in their spelling, and weights.

    Args:
        name: of the family.
        folder: to write to.
        dtype: of the weights.
        seed: of the weights.
        changes: of its config.json.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForImageTextToText, GenerationConfig

    from workflow_scripts.models import network

    folder.mkdir(parents=True, exist_ok=True)
    tokenizer().save_pretrained(folder)
    given = {**small(name, -(-len(tokenizer()) // 64) * 64), "torch_dtype": dtype, **changes}
    (folder / "config.json").write_text(json.dumps(given))
    torch.manual_seed(seed)
    auto = AutoModelForImageTextToText if "text_config" in given else AutoModelForCausalLM
    model = auto.from_config(network.configuration(folder)).to(getattr(torch, dtype))
    for parameter in model.parameters():
        if parameter.ndim == 1:  # norms and biases that differ from place to place, as trained ones do
            parameter.data += 0.1 * torch.randn_like(parameter)
    model.generation_config = GenerationConfig(bos_token_id=BOS, eos_token_id=[EOS, END], pad_token_id=PAD)
    model.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({**given, "architectures": [type(model).__name__]}, indent=1))
    return folder
