"""Conversations as a model sees them: the tokens of prompts and answers, and where an answer ends.

The one place where templates are used: trainings, engines and checks go through it, so a model is trained on what it
will be asked with.  docs/design/chat.md says what the rules are.
"""

import os.path
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

from workflow_scripts.base import reasoning
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory, plain_text, template_files
from workflow_scripts.models.chat_template import ChatTemplate, Conversation
from workflow_scripts.models.plain_text import PlainText


class Chat:
    """A tokenizer, its template, and what `chat` of the config says of them.

    Attributes:
        template: of the model.
        end: the token that ends a turn; None where nothing does, see `untrainable`.
        adds_end: whether a training adds it, since the template does not write it.
        stops: the tokens that end an answer: each eos of the model, and the end of a turn.
        untrainable: why a training cannot learn from this template when to stop, in words, or None.
        rule: how answers mark reasoning, a name of reasoning.RULES, or None.
    """

    def __init__(self, tokenizer: Any, settings: dict[str, Any], eos: Sequence[int], name: str) -> None:
        """Try a template with the settings of a model.

        Args:
            tokenizer: of transformers.
            settings: what of template_files.NEUTRAL is not neutral.
            eos: the tokens at which the model stops by itself.
            name: of the model, for errors.

        Raises:
            UserError: there is no template, or it does not go with the settings; all that is wrong, a line each.
        """
        self.tokenizer, self.name = tokenizer, name
        self.settings = template_files.NEUTRAL | settings
        self.template = ChatTemplate(tokenizer, self.settings, name)
        self.plain = PlainText(tokenizer)
        added = {token.content: index for index, token in tokenizer.added_tokens_decoder.items()}
        added |= {token: tokenizer.convert_tokens_to_ids(token) for token in tokenizer.all_special_tokens}
        self._added = {token: index for token, index in added.items() if token and not token.isspace()}
        self.adds_end = False
        self.end, why = self._find_end(eos)
        self.untrainable = f"{name}: {why}" if why else None
        self.stops = sorted({*eos, *([] if self.end is None else [self.end])})
        self._find_special()

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The chat of a model directory.

        Raises:
            UserError: as for `Chat`; or the tokenizer cannot be read.
        """
        tokenizer = template_files.tokenizer(folder, directory.has_code(folder))
        return cls(tokenizer, template_files.settings(folder), template_files.eos(folder, tokenizer), str(folder))

    def prompts(self, conversations: Sequence[Conversation], rows: Sequence[str] = ()) -> list[list[int]]:
        """The tokens of conversations, ready for an answer.

        Args:
            conversations: each ends with a turn of the user.
            rows: their names, for errors.

        Raises:
            UserError: the template refuses one of them.
        """
        cut, marks = self._cut(conversations)
        return self.plain.encode(self.template.write(cut, asks=True, rows=rows), marks)

    def answers(
        self,
        conversations: Sequence[Conversation],
        prompts: Sequence[list[int]],
        answers: Sequence[str],
        rows: Sequence[str] = (),
    ) -> list[list[int]]:
        """The tokens that answers to conversations add to their prompts, with the one that ends the turn.

        Args:
            conversations: each ends with a turn of the user.
            prompts: their tokens.
            answers: one for each.
            rows: their names, for errors.

        Raises:
            UserError: a prompt is not how the conversation with its answer begins, or no end of a turn can be learnt.
        """
        if self.untrainable:
            raise UserError(self.untrainable)
        pairs = zip(conversations, answers, strict=True)
        cut, marks = self._cut([[*turns, {"role": "assistant", "content": text}] for turns, text in pairs])
        heads = self.template.write([turns[:-1] for turns in cut], asks=True, rows=rows)
        wholes = self.template.write(cut, asks=False, rows=rows)
        if wrong := [index for index, head in enumerate(heads) if not wholes[index].startswith(head)]:
            named = [rows[index] for index in wrong] if rows else []
            raise UserError(self.template.why_no_prefix(heads[wrong[0]], wholes[wrong[0]], named))
        end = [self.end] if self.end is not None and self.adds_end else []
        found = []
        tokens = self.plain.encode(wholes, marks)
        for head, whole, mark, prompt, ids in zip(heads, wholes, marks, prompts, tokens, strict=True):
            fits = ids[: len(prompt)] == prompt
            found.append((ids[len(prompt) :] if fits else self.plain.going_on(whole[len(head) :], mark)) + end)
        return found

    def text(self, tokens: list[int]) -> str:
        """What the tokens of an answer say, without special tokens but for those that mark reasoning."""
        if not self._mark_reasoning:
            return str(self.tokenizer.decode(tokens, skip_special_tokens=True))
        said = [token for token in tokens if token in self._mark_reasoning or token not in self._special_ids]
        return str(self.tokenizer.decode(said, skip_special_tokens=False))

    def _find_end(self, eos: Sequence[int]) -> tuple[int | None, str]:
        """The token that ends a turn, from the text behind an answer; or why there is none."""
        behind, token = self.template.behind, self.tokenizer.eos_token_id
        if behind is None:
            return None, "its chat template leaves out the turn of the assistant; correct the template"
        if written := list(self._tokens_in(behind)):
            also_between = self._tokens_in(os.path.commonprefix([behind, self.template.between]))
            return next((token for token in also_between if token in eos), written[0]), ""
        if behind.strip():
            return None, (
                f"its chat template ends a turn by {behind.strip()!r}, no token of its tokenizer, so no training"
                f" learns to stop; give a template (chat.template) that ends it by {self._known_ends()}"
            )
        if token is None:
            return None, "neither its chat template nor an eos of its tokenizer ends a turn; name one"
        self.adds_end = True
        return int(token), ""

    def _tokens_in(self, text: str) -> Iterator[int]:
        """The added tokens in a text, in order; the longest of those that begin at one place."""
        at = 0
        while at < len(text):
            found = max((token for token in self._added if text.startswith(token, at)), key=len, default="")
            if found:
                yield self._added[found]
            at += len(found) or 1

    def _known_ends(self) -> str:
        likely = sorted(token for token in self._added if "end" in token or "eot" in token)
        return " or ".join(dict.fromkeys(filter(None, [self.tokenizer.eos_token, *likely[:3]]))) or "one of its tokens"

    def _find_special(self) -> None:
        """What is special in a text of a user: tokens declared so, and those by which the template marks turns."""
        rule = self.settings["reasoning"]
        of_template = reasoning.of_template(self.template.text, self.template.opens)
        self.rule = of_template if rule == "auto" else None if rule == "none" else rule
        tags = "".join(reasoning.RULES[self.rule][:2]) if self.rule else ""
        of_reasoning = {token for token in self._added if token in tags}
        declared = {token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special}
        declared |= set(self.tokenizer.all_special_tokens)
        writing = "".join([self.template.prompting, self.template.before, self.template.behind or ""])
        special = declared | of_reasoning | {token for token in self._added if token in writing and not token.isalnum()}
        self._special_ids = {self._added[token] for token in declared if token in self._added}
        self._mark_reasoning = {self._added[token] for token in of_reasoning} & self._special_ids
        is_text = self.settings["special_tokens"] == "text"
        self._pattern = plain_text.cutting(special) if is_text else None
        self._pattern_of_answers = plain_text.cutting(special - of_reasoning) if is_text else None

    def _cut(self, conversations: Sequence[Conversation]) -> tuple[list[Conversation], list[str]]:
        """Conversations with a mark in each special token that stands in them, and the marks."""
        found, marks = [], []
        for turns in map(self.template.whole, conversations):
            patterns = [self._pattern_of_answers if turn["role"] == "assistant" else self._pattern for turn in turns]
            texts, mark = plain_text.marked([turn["content"] for turn in turns], patterns)
            if mark:
                turns = [{**turn, "content": text} for turn, text in zip(turns, texts, strict=True)]
            found.append(turns)
            marks.append(mark)
        return found, marks
