"""A translation model of NLLB's kind, through transformers: pieces in, translations out, in order."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer
from transformers.utils import logging

from workflow_scripts.base import work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import LANGUAGES
from workflow_scripts.data.translator import Piece


class Engine:
    """A model that is loaded.

    Args:
        settings: precision, beams, max_tokens, batch_size, codes; see config.data.ModelTranslator.
        folder: the model's.
    """

    def __init__(self, settings: dict[str, Any], folder: Path) -> None:
        logging.disable_progress_bar()
        self.settings = settings
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        model = AutoModelForSeq2SeqLM.from_pretrained(
            folder, dtype=getattr(torch, settings["precision"]), use_safetensors=True
        )
        self.model = model.eval().to(self.device)

    def translate(self, pieces: Sequence[Piece]) -> Iterator[str]:
        """Translate pieces in order; neighbours of one pair of languages go together, as many as `batch_size`."""
        for (source, target), alike in groupby(pieces, key=lambda piece: (piece.source, piece.target)):
            # A tokenizer puts the source's code before a text; the target's is forced to be the first of the answer.
            self.tokenizer.src_lang = self._code(source)
            first = self.tokenizer.convert_tokens_to_ids(self._code(target))
            texts = [piece.text for piece in alike]
            for at in range(0, len(texts), self.settings["batch_size"]):
                yield from self._batch(texts[at : at + self.settings["batch_size"]], first)

    @torch.inference_mode()
    def _batch(self, texts: list[str], first: int) -> list[str]:
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True).to(self.device)
        answers = self.model.generate(
            **inputs,
            forced_bos_token_id=first,
            num_beams=self.settings["beams"],
            do_sample=False,
            max_new_tokens=self.settings["max_tokens"],
        )
        work_counter.count("translated", len(texts))
        decoded: list[str] = self.tokenizer.batch_decode(answers, skip_special_tokens=True)
        return [text.strip() for text in decoded]

    def _code(self, language: str) -> str:
        code = self.settings["codes"].get(language) or LANGUAGES[language][1]
        if self.tokenizer.convert_tokens_to_ids(code) == self.tokenizer.unk_token_id:
            raise UserError(
                f"translators: the model has no language '{code}' ({language}); set `codes`, or another model"
            )
        return str(code)
