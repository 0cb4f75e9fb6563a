"""A model's tokenizer as everything here reads it: tokenizer.json, which is made of older files where it is not there.

GPT-2, OPT, older Qwen and Llama repositories have vocab.json and merges.txt, or tokenizer.model, and no tokenizer.json.
transformers reads both; what a model is made of, what shares an engine, and other programs, go by tokenizer.json.
"""

from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory, network

FILE = "tokenizer.json"
SAMPLE = "Hello,  world!\n\n12345 don't\tstop – नमस्ते दुनिया, مرحبا, Привет, 你好 <s> [INST] 🙂"


def load(model: Path) -> Any:
    """Transformers' tokenizer of a model directory.

    Raises:
        UserError: it has none, or its files cannot be read.
    """
    with network.explained(model, file="tokenizer_config.json"):
        return AutoTokenizer.from_pretrained(model, local_files_only=True, trust_remote_code=directory.has_code(model))


def complete(model: Path) -> None:
    """Write tokenizer.json into a model directory that has none, and see that it makes the same tokens.

    Raises:
        UserError: as `load`, or the tokenizer has no form of it (one in Python alone).
    """
    before = load(model)
    if (model / FILE).exists():
        return
    inner = getattr(before, "backend_tokenizer", None)
    if inner is None:
        raise UserError(f"{model}: its tokenizer ({type(before).__name__}) has no {FILE}, nor can one be made; add one")
    texts = [SAMPLE, *(f"x{token} y" for token in before.all_special_tokens)]
    expected = [before(text)["input_ids"] for text in texts]
    inner.save(str(model / FILE))
    after = load(model)
    if [after(text)["input_ids"] for text in texts] != expected or len(after) != len(before):
        raise UserError(
            f"{model}: a {FILE} made of its tokenizer's files makes other tokens; save it with transformers first: "
            "AutoTokenizer.from_pretrained(folder).save_pretrained(folder)"
        )
