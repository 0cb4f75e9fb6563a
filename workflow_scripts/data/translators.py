"""What translates: a translation model, whose pieces are kept row by row, or a language model, whose ledger keeps them.

Either way a piece that was translated once is never translated again, whatever text it stands in.
"""

import importlib.metadata
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.languages import language_name
from workflow_scripts.llm import prompts
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.parameters import PARAMETERS
from workflow_scripts.llm.request import Request
from workflow_scripts.process import command
from workflow_scripts.store import finished_work
from workflow_scripts.store.append_only import AppendOnlyRows

TAKEN = ("*.json", "*.safetensors", "*.model")
COMMIT_EVERY = 200  # pieces that a power cut may cost


class Piece(NamedTuple):
    """What is translated at once, and from and into which language."""

    text: str
    source: str
    target: str


class Translator(Protocol):
    """What translates pieces.

    Attributes:
        by_sentence: whether pieces are sentences, or as much as fits.
        most: the largest size of a piece.
        place: key of its pieces in the store, None where a ledger keeps them.
    """

    by_sentence: bool
    most: int
    place: str | None

    def size(self, text: str) -> int:
        """The size of a text, in the translator's tokens."""
        ...

    def translate(self, pieces: Sequence[Piece]) -> dict[Piece, str | None]:
        """The translation of each piece; None where there is none to be had, as of what a provider filters."""
        ...


class ModelTranslator:
    """A translation model: sentence by sentence.

    Args:
        work: of the recipe: config.data.ModelTranslator without what is `how`, and `code`.
        how: batch_size, threads.
        kept: folder of all translations.
    """

    by_sentence = True

    def __init__(self, work: dict[str, Any], how: dict[str, Any], kept: Path) -> None:
        self.folder = hub.folder(work["model"], work["revision"], TAKEN)
        if not list(self.folder.glob("*.safetensors")):
            raise UserError(
                f"{work['model']}: has no .safetensors (other formats can run code); pin a revision that has them, as "
                "that of a pull request on the hub which converts it, or convert it"
            )
        self.work, self.how = work, how
        self.most = work["max_tokens"] - 2  # the language's code and the end
        self.place: str | None = finished_work.key({**work, "versions": _versions()}, model=self._content())
        self.kept = kept / str(self.place)

    @cached_property
    def _tokenizer(self) -> Any:
        import tokenizers  # by itself: transformers takes seconds

        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise UserError(f"{self.work['model']}: has no tokenizer.json; save it with a fast tokenizer")
        return tokenizers.Tokenizer.from_file(str(path))

    def size(self, text: str) -> int:
        """Tokens of a text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def translate(self, pieces: Sequence[Piece]) -> dict[Piece, str | None]:
        """Translate what no earlier run did, the longest first, and put it down as it comes."""
        keys = {hashing.of_json(piece): piece for piece in pieces}
        with AppendOnlyRows(self.kept) as kept:
            known: dict[Piece, str | None] = {keys[row["key"]]: row["translation"] for row in kept.scan(keys)}
            owed = [(key, piece) for key, piece in keys.items() if piece not in known]
            owed.sort(key=lambda pair: (pair[1].source, pair[1].target, -len(pair[1].text)))
            if owed:
                engine = command.heavy("data.nllb").Engine({**self.work, **self.how}, self.folder)
                translated = engine.translate([piece for _, piece in owed])
                for count, ((key, piece), text) in enumerate(zip(owed, translated, strict=True), 1):
                    kept.append({"key": key, **piece._asdict(), "translation": text})
                    known[piece] = text
                    if count % COMMIT_EVERY == 0:
                        kept.commit()
        return known

    def _content(self) -> Any:
        """What model it is: a commit says it, and the files of a folder."""
        if not Path(self.work["model"]).is_dir():
            return self.work["revision"]
        return {p.name: hashing.of_file(p) for pattern in TAKEN for p in sorted(self.folder.glob(pattern))}


class LlmTranslator:
    """A language model that is asked: as much as fits at once, so that it sees the context.

    Args:
        work: of the recipe: `llm` (config.judging.LLM without how it is reached), `prompt` (the template), max_tokens,
            `label`.
        how: how it is reached.
        ledger: folder of the ledger.
    """

    by_sentence = False
    place: str | None = None

    def __init__(self, work: dict[str, Any], how: dict[str, Any], ledger: Path) -> None:
        self.work, self.how, self.ledger = work, how, ledger
        self.most = work["max_tokens"]

    def size(self, text: str) -> int:
        """About how many tokens a text has."""
        return len(text.encode()) // 3

    def translate(self, pieces: Sequence[Piece]) -> dict[Piece, str | None]:
        """Ask for what the ledger does not have; what is refused, filtered or empty is None."""
        with Client(self.how, self.ledger) as client:
            answers = client.answers(self._request(piece) for piece in pieces)
        if lost := sum(answer.outcome == "error" for answer in answers):
            raise UserError(
                f"translators.{self.work['label']}: {lost} of {len(answers)} requests failed after all retries; "
                "what was answered is kept, the same command asks for the rest"
            )
        return {
            piece: (answer.text or "").strip() or None if answer.outcome == "ok" else None
            for piece, answer in zip(pieces, answers, strict=True)
        }

    def _request(self, piece: Piece) -> Request:
        names = {"{SOURCE}": language_name(piece.source), "{TARGET}": language_name(piece.target)}
        template = self.work["prompt"]
        for place, name in names.items():
            template = template.replace(place, name)
        asked = self.work["llm"]
        parameters = {name: asked[name] for name in PARAMETERS if asked.get(name) is not None}
        messages = prompts.messages(template, {"TEXT": piece.text})
        return Request(asked["model"], messages, parameters, self.work["label"])


def start(work: dict[str, Any], how: dict[str, Any], folder: Path) -> Translator:
    """A translator, from its part of a recipe and of `Recipes.how`, and the store's folder."""
    if "llm" in work:
        return LlmTranslator(work, how, folder / "judgments")
    return ModelTranslator(work, how, folder / "translations")


def _versions() -> dict[str, str]:
    names = ("torch", "transformers", "tokenizers")
    return {name: importlib.metadata.version(name).split("+")[0] for name in names}
