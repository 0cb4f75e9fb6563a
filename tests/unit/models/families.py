"""Tiny tokenizers with the special tokens, ends and published templates of the families that people use."""

import json
import string
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

TEMPLATES = Path(__file__).parents[2] / "fixtures/chat_templates"
SPLIT = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"  # as Llama 3 and Qwen
TEXTS = ["How do I open the door?\n\nYou open it with a key.\n", "word\n\nword", "a <|im b|> c < | >"] * 50


class Family(NamedTuple):
    """What a tokenizer of a family has, and what its template does with it."""

    end: str | None  # what ends a turn; None: the template does not, so the eos is added
    eos: str  # of the base model, as it is published
    special: tuple[str, ...]
    bos: str | None = None
    added: tuple[str, ...] = ()  # not declared special
    spaces: bool = False  # sentencepiece: a space before the first word
    rule: str | None = None  # of reasoning
    why: str = ""  # what a training on plain answers is refused for


CHATML = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
COHERE = tuple(f"<|{name}_TOKEN|>" for name in ("START_OF_TURN", "END_OF_TURN", "USER", "CHATBOT", "SYSTEM"))
RESPONSE = ("<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_THINKING|>", "<|END_THINKING|>")
LLAMA3 = ("<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>")
PHI = ("<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|system|>", "<|end|>")
MISTRAL = ("<s>", "</s>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]")
GEMMA = ("<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>")
GEMMA4 = ("<bos>", "<eos>", "<|turn>", "<turn|>", "<|channel>", "<channel|>")
SEED = ("<seed:bos>", "<seed:eos>", "<seed:think>", "</seed:think>")
GRANITE = ("<|end_of_text|>", "<|start_of_role|>", "<|end_of_role|>")
DEEPSEEK = ("<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>", "<｜Assistant｜>")
GLM = ("<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>")
THINK = ("<think>", "</think>")
OPENS = "opens '<think>"

FAMILIES = {
    "alpaca": Family("</s>", "</s>", ("<s>", "</s>"), bos="<s>", spaces=True, why="is no prefix"),
    "aya-expanse": Family(COHERE[1], COHERE[1], ("<BOS_TOKEN>", *COHERE), bos="<BOS_TOKEN>"),
    "command-r-plus": Family(COHERE[1], COHERE[1], ("<BOS_TOKEN>", *COHERE), bos="<BOS_TOKEN>"),
    "command-r7b-tools": Family(
        COHERE[1], COHERE[1], ("<BOS_TOKEN>", *COHERE, *RESPONSE), bos="<BOS_TOKEN>", rule="command"
    ),
    "deepseek-coder": Family("<|EOT|>", "<|EOT|>", DEEPSEEK[:2], bos=DEEPSEEK[0], added=("<|EOT|>",)),
    "deepseek-r1-distill": Family(
        DEEPSEEK[1], DEEPSEEK[1], DEEPSEEK, bos=DEEPSEEK[0], added=THINK, rule="think", why=OPENS
    ),
    "deepseek-v2": Family(DEEPSEEK[1], DEEPSEEK[1], DEEPSEEK[:2], bos=DEEPSEEK[0]),
    "gemma-2": Family("<end_of_turn>", "<eos>", GEMMA, bos="<bos>", spaces=True),
    "gemma-3": Family("<end_of_turn>", "<eos>", GEMMA, bos="<bos>", spaces=True),
    "gemma-4": Family("<turn|>", "<eos>", GEMMA4, bos="<bos>", rule="channel"),
    "glm-4": Family(None, "<|endoftext|>", GLM),
    "glm-4-moe": Family(None, "<|endoftext|>", GLM, added=THINK, rule="think"),
    "gpt-oss": Family(
        "<|return|>",
        "<|return|>",
        ("<|startoftext|>", "<|return|>", "<|start|>", "<|end|>", "<|channel|>", "<|message|>", "<|call|>"),
        rule="harmony",
    ),
    "granite-3.0": Family("<|end_of_text|>", "<|end_of_text|>", GRANITE),
    "granite-3.3": Family("<|end_of_text|>", "<|end_of_text|>", GRANITE, rule="response"),
    "lfm-2": Family("<|im_end|>", "<|im_end|>", ("<|startoftext|>", *CHATML), bos="<|startoftext|>"),
    "llama-2": Family("</s>", "</s>", ("<s>", "</s>"), bos="<s>", spaces=True),
    **{
        f"llama-{version}": Family("<|eot_id|>", "<|end_of_text|>", LLAMA3, bos="<|begin_of_text|>")
        for version in ("3", "3.1", "3.2", "3.3")
    },
    "mistral-nemo": Family("</s>", "</s>", MISTRAL, bos="<s>"),
    "mistral-small-3.2": Family("</s>", "</s>", MISTRAL, bos="<s>"),
    "mistral-v0.2": Family("</s>", "</s>", ("<s>", "</s>"), bos="<s>", spaces=True),
    "mistral-v1": Family("</s>", "</s>", ("<s>", "</s>"), bos="<s>", spaces=True),
    "mistral-v7": Family("</s>", "</s>", MISTRAL, bos="<s>", spaces=True),
    "nemotron-3-nano": Family("<|im_end|>", "<|endoftext|>", CHATML, added=THINK, rule="think", why=OPENS),
    "olmo-2": Family("<|endoftext|>", "<|endoftext|>", ("<|endoftext|>",)),
    "olmo-3": Family("<|endoftext|>", "<|endoftext|>", CHATML),
    "olmo-3-think": Family("<|endoftext|>", "<|endoftext|>", CHATML, rule="think", why=OPENS),
    "openchat-3.5": Family("<|end_of_turn|>", "</s>", ("<s>", "</s>", "<|end_of_turn|>"), bos="<s>", spaces=True),
    "phi-3": Family("<|end|>", "<|endoftext|>", PHI, bos="<s>", spaces=True),
    "phi-3-small": Family("<|end|>", "<|endoftext|>", PHI, bos="<|endoftext|>"),
    "phi-3.5": Family("<|end|>", "<|endoftext|>", PHI, bos="<s>", spaces=True),
    "phi-4": Family("<|im_end|>", "<|endoftext|>", (*CHATML, "<|im_sep|>")),
    "qwen-2.5": Family("<|im_end|>", "<|endoftext|>", CHATML),
    "qwen-3": Family("<|im_end|>", "<|endoftext|>", CHATML, added=THINK, rule="think"),
    "qwen-3-instruct-2507": Family("<|im_end|>", "<|endoftext|>", CHATML, added=THINK),
    "qwen-3.5-thinking": Family("<|im_end|>", "<|endoftext|>", CHATML, added=THINK, rule="think"),
    "qwq": Family("<|im_end|>", "<|endoftext|>", CHATML, added=THINK, rule="think", why=OPENS),
    "seed-oss": Family("<seed:eos>", "<seed:eos>", SEED, bos="<seed:bos>", rule="seed"),
    "smollm-2": Family("<|im_end|>", "<|endoftext|>", CHATML),
    "smollm-3": Family("<|im_end|>", "<|end_of_text|>", ("<|end_of_text|>", *CHATML[1:]), added=THINK, rule="think"),
    "tiny-aya": Family(COHERE[1], COHERE[1], ("<BOS_TOKEN>", *COHERE, *RESPONSE), bos="<BOS_TOKEN>"),
    "vicuna-1.1": Family("</s>", "</s>", ("<s>", "</s>"), bos="<s>", spaces=True),
    "zephyr": Family("</s>", "</s>", ("<s>", "</s>"), bos="<s>", spaces=True),
}  # fmt: skip
DATED = ("gpt-oss", "granite-3.3", "llama-3.2", "mistral-small-3.2", "smollm-3")  # templates that ask for today's date


def template(name: str) -> str:
    """A published template."""
    return (TEMPLATES / f"{name}.jinja").read_text(encoding="utf-8")


@cache
def _vocabulary(spaces: bool, special: tuple[str, ...]) -> str:
    inner = Tokenizer(models.BPE(byte_fallback=spaces, unk_token="<unk>" if spaces else None))
    if spaces:  # as the tokenizer.json of Llama 2: a space before the text, and before what follows a special token
        inner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
        inner.decoder = decoders.Sequence(
            [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
        )
        of_bytes = [f"<0x{byte:02X}>" for byte in range(256)]
        trainer = trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=["<unk>", *of_bytes, *special],
            initial_alphabet=list(string.ascii_letters + string.punctuation + "▁"),
            show_progress=False,
        )
    else:
        inner.pre_tokenizer = pre_tokenizers.Sequence(
            [
                pre_tokenizers.Split(Regex(SPLIT), "isolated"),
                pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        inner.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=400, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
        )
    inner.train_from_iterator(TEXTS, trainer)
    made = json.loads(inner.to_str())
    made["added_tokens"] = [token for token in made["added_tokens"] if not token["content"].startswith("<0x")]
    return json.dumps(made)


def tokenizer(
    special: tuple[str, ...] = CHATML,
    eos: str | None = "<|endoftext|>",
    bos: str | None = None,
    added: tuple[str, ...] = (),
    spaces: bool = False,
    chat_template: Any = None,
) -> Any:
    """A tokenizer of a hundred words."""
    made = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer.from_str(_vocabulary(spaces, special)),
        eos_token=eos,
        bos_token=bos,
        pad_token=eos,
        clean_up_tokenization_spaces=False,
    )
    made.add_tokens(list(added))
    made.chat_template = chat_template
    return made


def of_family(name: str, **changes: Any) -> Any:
    """A family's tokenizer with its published template."""
    family = FAMILIES[name]
    given = {name: getattr(family, name) for name in ("special", "eos", "bos", "added", "spaces")}
    return tokenizer(**{**given, "chat_template": template(name), **changes})
