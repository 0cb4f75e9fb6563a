"""Tokens of texts in which some stretches must not become special tokens, and of texts that go on from others."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

# Code points that stand for no character in any text; one marks where a special token of a user's text is cut.
MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]

# What may stand before a text where a tokenizer puts a space before the first word: first a byte that joins no other.
LEADS = ("", "\x1f", "\n", ".")


class PlainText:
    """Texts to tokens, with what users wrote kept apart from what a template wrote.

    A tokenizer finds special tokens wherever they stand.  One that stands in a user's text is tokenised in two pieces,
    after its first character, so it is never whole.  That holds for every kind of tokenizer, and for tokens that
    `split_special_tokens` of transformers passes over: those not declared special, and words of a vocabulary.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def encode(self, texts: Sequence[str], marks: Sequence[str]) -> list[list[int]]:
        """The tokens of texts, each in the pieces that its mark makes; an empty mark makes none."""
        whole = [text for text, mark in zip(texts, marks, strict=True) if not mark]
        tokens = iter(self.tokens(whole))
        return [self._pieces(text, mark) if mark else next(tokens) for text, mark in zip(texts, marks, strict=True)]

    def tokens(self, texts: list[str]) -> list[list[int]]:
        """The tokens of texts as they stand, with special tokens, and none that the tokenizer would add."""
        return [list(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]] if texts else []

    def going_on(self, text: str, mark: str = "") -> list[int]:
        """The tokens of a text that stands right behind another; some tokenizers would put a space before it."""
        return [token for piece in (text.split(mark) if mark else [text]) for token in self._behind(piece)]

    def _pieces(self, text: str, mark: str) -> list[int]:
        first, *others = text.split(mark)
        return self.tokens([first])[0] + [token for piece in others for token in self._behind(piece)]

    def _behind(self, text: str) -> list[int]:
        """The tokens of a text that another stands before: without the space that a first word would get."""
        if not text:
            return []
        other = self.tokens(["."])[0]
        for lead in LEADS:
            head, ids = self.tokens([lead, lead + text])
            said = self._text(ids).removeprefix(self._text(head))
            rest = ids[len(head) :]
            if (
                ids[: len(head)] == head
                and said[:1] == text[:1]
                and self._text(other + rest) == self._text(other) + said
            ):
                return rest
        return self.tokens([text])[0]  # of a tokenizer that gives no text back as it was

    def _text(self, tokens: list[int]) -> str:
        return str(self.tokenizer.decode(tokens, skip_special_tokens=False, clean_up_tokenization_spaces=False))


def cutting(special: Iterable[str]) -> re.Pattern[str] | None:
    """Finds the first character of each special token in a text, even of those that overlap; None if there are none."""
    rests: dict[str, list[str]] = {}
    for token in sorted({token for token in special if len(token) > 1 and not token.isspace()}):
        rests.setdefault(token[0], []).append(re.escape(token[1:]))
    parts = [f"{re.escape(first)}(?={'|'.join(others)})" for first, others in rests.items()]
    return re.compile("|".join(parts)) if parts else None


def marked(texts: Sequence[str], patterns: Sequence[re.Pattern[str] | None]) -> tuple[list[str], str]:
    """Texts with a mark in every special token, and the mark; an empty one where they hold none."""
    if not any(pattern.search(text) for text, pattern in zip(texts, patterns, strict=True) if pattern):
        return list(texts), ""
    mark = next(mark for mark in MARKS if not any(mark in text for text in texts))
    cut = [
        pattern.sub(lambda found: found[0] + mark, text) if pattern else text
        for text, pattern in zip(texts, patterns, strict=True)
    ]
    return cut, mark
