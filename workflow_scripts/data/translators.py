"""What translates: a translation model, whose pieces are kept row by row, or a language model, whose ledger keeps them.

Either way a piece that was translated once is never translated again, whatever text it stands in.
"""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, hub
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, Job
from workflow_scripts.base.languages import language_name
from workflow_scripts.data.translator import Piece, Translator
from workflow_scripts.llm import prompts
from workflow_scripts.llm.client import Client
from workflow_scripts.llm.parameters import PARAMETERS
from workflow_scripts.llm.request import Request
from workflow_scripts.process import command
from workflow_scripts.store import finished_work
from workflow_scripts.store.append_only import AppendOnlyRows

TAKEN = ("*.json", "*.safetensors", "*.model")
PROMPT = prompts.Holds(("TEXT",), ("TARGET",))  # of a language model; {SOURCE} may stand in it as well
COMMIT_EVERY = 200  # pieces that a power cut may cost
MADE_BY = ("translator:nllb", "torch", "transformers", "tokenizers")  # of a job's code, what a piece becomes by


class ModelTranslator:
    """A translation model: sentence by sentence.

    Args:
        settings: of config.data.ModelTranslator.
        execution: of it as well: batch_size.
        deciding: what its translations follow from, besides the content of the model.
    """

    by_sentence = True
    usd = 0.0

    def __init__(self, settings: dict[str, Any], execution: dict[str, Any], deciding: dict[str, Any]) -> None:
        self.folder = hub.folder(settings["model"], settings["revision"], TAKEN)
        if not list(self.folder.glob("*.safetensors")):
            raise UserError(
                f"{settings['model']}: has no .safetensors (other formats can run code); pin a revision that has "
                "them, as that of a pull request on the hub which converts it, or convert it"
            )
        self.settings, self.execution = settings, execution
        self.most = settings["max_tokens"] - 2  # the language's code and the end
        self.place: str | None = finished_work.key(deciding, model=self._content())
        self.kept = STORE / "translations" / str(self.place)

    @cached_property
    def _tokenizer(self) -> Any:
        import tokenizers  # by itself: transformers takes seconds

        path = self.folder / "tokenizer.json"
        if not path.is_file():
            raise UserError(f"{self.settings['model']}: has no tokenizer.json; save it with a fast tokenizer")
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
                engine = command.heavy("data.nllb").Engine({**self.settings, **self.execution}, self.folder)
                translated = engine.translate([piece for _, piece in owed])
                for count, ((key, piece), text) in enumerate(zip(owed, translated, strict=True), 1):
                    kept.append({"key": key, **piece._asdict(), "translation": text})
                    known[piece] = text
                    if count % COMMIT_EVERY == 0:
                        kept.commit()
        return known

    def _content(self) -> Any:
        """What model it is: a commit says it, and the files of a folder."""
        if not Path(self.settings["model"]).is_dir():
            return self.settings["revision"]
        return {p.name: hashing.of_file(p) for pattern in TAKEN for p in sorted(self.folder.glob(pattern))}


class LlmTranslator:
    """A language model that is asked: as much as fits at once, so that it sees the context.

    Args:
        settings: `llm` (config.judging.LLM without how it is reached), `prompt` (the template), max_tokens,
            `label`.
        execution: how it is reached.
    """

    by_sentence = False
    place: str | None = None

    def __init__(self, settings: dict[str, Any], execution: dict[str, Any]) -> None:
        self.settings, self.execution = settings, execution
        self.most, self.usd = settings["max_tokens"], 0.0

    def size(self, text: str) -> int:
        """About how many tokens a text has."""
        return len(text.encode()) // 3

    def translate(self, pieces: Sequence[Piece]) -> dict[Piece, str | None]:
        """Ask for what the ledger does not have; what is refused, filtered or empty is None."""
        with Client(self.execution, STORE / "judgments") as client:
            answers = client.answers(self._request(piece) for piece in pieces)
        self.usd += client.usd
        if lost := sum(answer.outcome == "error" for answer in answers):
            raise UserError(
                f"translators.{self.settings['label']}: {lost} of {len(answers)} requests failed after all retries; "
                "what was answered is kept, the same command asks for the rest"
            )
        return {
            piece: (answer.text or "").strip() or None if answer.outcome == "ok" else None
            for piece, answer in zip(pieces, answers, strict=True)
        }

    def _request(self, piece: Piece) -> Request:
        names = {"{SOURCE}": language_name(piece.source), "{TARGET}": language_name(piece.target)}
        template = self.settings["prompt"]
        for place, name in names.items():
            template = template.replace(place, name)
        asked = self.settings["llm"]
        parameters = {name: asked[name] for name in PARAMETERS if asked.get(name) is not None}
        messages = prompts.messages(template, {"TEXT": piece.text})
        return Request(asked["model"], messages, parameters, self.settings["label"])


def start(job: Job) -> Translator:
    """The translator of a job."""
    settings = job.settings["translator"]
    if "llm" in settings:
        return LlmTranslator(settings, job.execution)
    code = {name: version for name, version in job.recipe.code.items() if name in MADE_BY}
    deciding = {"settings": job.recipe.settings["translator"], "code": code}
    return ModelTranslator(settings, job.execution, deciding)
