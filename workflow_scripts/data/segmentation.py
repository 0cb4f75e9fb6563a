"""What of a text is translated, in pieces that a translator takes at once, and what stays as it is.

A translation model is a sentence model.  So a text is cut by line and sentence (a language model gets it by block),
and what is not language stays as it is: fenced code, blank lines, lines without a letter, marks of lists and headings,
and the white space between sentences.  Pieces and gaps together are the text again, to the character.

A sentence ends at . ! ? ... or the marks of other scripts (the danda of Hindi, the Arabic question mark, the full stops
of Chinese and Japanese), with the quotes and brackets that close there, before white space.  It does not end at a full
stop after an initial or an abbreviation of `ABBREVIATIONS`, or before a small letter.  What is still too long is cut
in halves, at the coarsest break near its middle.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from workflow_scripts.data.translator import Translator

_SHORT = """
    mr mrs ms dr prof sr sra srta st no nos vs cf etc e.g i.e fig figs al approx dept inc ltd vol p pp
    m mm mme mlle mlles art av env ex p.ex
    d ud uds vd vds ee.uu pág núm
    г гг ул д т.д т.п т.е т.к рис им стр тыс млн
    डॉ श्री सं
"""  # English, French, Spanish, Russian, Hindi
ABBREVIATIONS = frozenset(_SHORT.split())

FENCE = re.compile(r"[ ]{0,3}(`{3,}|~{3,})")
MARKS = re.compile(r"\s*(?:(?:[-*+•>]|#{1,6}|\d{1,3}[.)])\s+)*")
SENTENCE = re.compile(r"[.!?…।॥؟۔]+(?:[\"'”’)\]]|\s?[»›])*(?=\s)|[。！？]+[\"'”’」』）]*")
BREAKS = (re.compile(r"\n\s*\n"), re.compile(r"\n"), SENTENCE, re.compile(r"[,;:،؛，、—–]"), re.compile(r"\s"))


class Part(NamedTuple):
    """A run of a text, and whether it is translated or stays as it is."""

    text: str
    is_piece: bool


def cut(text: str, translator: Translator) -> list[Part]:
    """Cut a text into pieces and gaps; joined, they are the text.

    Args:
        text: of several lines, with code or without.
        translator: whose `by_sentence`, `most` and `size` decide.
    """
    parts: list[Part] = []
    for run, is_code in _runs(text):
        if is_code:
            parts.append(Part(run, False))
        elif translator.by_sentence:
            for line in run.splitlines(keepends=True):
                marks = MARKS.match(line)
                begin = marks.end() if marks else 0
                parts.append(Part(line[:begin], False))
                for sentence in _sentences(line[begin:]):
                    parts += _fitting(sentence, translator)
        else:
            parts += _fitting(run, translator)
    return [part for part in parts if part.text]


def _runs(text: str) -> Iterator[tuple[str, bool]]:
    """Fenced code, and what stands between; a fence that nothing closes goes to the end."""
    run, fence = "", ""
    for line in text.splitlines(keepends=True):
        mark = FENCE.match(line)
        if not fence and mark:
            yield run, False
            run, fence = "", mark[1]
        elif fence and mark and mark[1].startswith(fence) and not line[mark.end() :].strip():
            yield run + line, True
            run, fence = "", ""
            continue
        run += line
    yield run, bool(fence)


def _sentences(text: str) -> list[str]:
    """Sentences with the white space that follows them."""
    found, begin = [], 0
    for end in SENTENCE.finditer(text):
        after = text[end.end() :].lstrip()
        before = text[begin : end.end()].split()
        word = before[-1].rstrip(".").lstrip("([{\"'«“").casefold() if before else ""
        is_short = end[0] == "." and (word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()))
        if is_short or (after and after[0].islower()):
            continue
        stop = len(text) - len(after)
        found.append(text[begin:stop])
        begin = stop
    return [*found, text[begin:]]


def _fitting(text: str, translator: Translator) -> list[Part]:
    """A text as pieces that are small enough; the white space around them, and what has no letter, are gaps."""
    body = text.strip()
    if not any(character.isalpha() for character in body):
        return [Part(text, False)]
    if translator.size(body) <= translator.most or len(body) < 2:
        begin = text.index(body)
        return [Part(text[:begin], False), Part(body, True), Part(text[begin + len(body) :], False)]
    middle = len(text) // 2
    for kind in BREAKS:
        ends = [match.end() for match in kind.finditer(text) if text[: match.end()].strip()]
        if ends := [end for end in ends if text[end:].strip()]:
            middle = min(ends, key=lambda end: abs(end - len(text) // 2))
            break
    return _fitting(text[:middle], translator) + _fitting(text[middle:], translator)
