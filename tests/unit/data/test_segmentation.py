"""Texts are cut without loss, and code is left alone."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workflow_scripts.data.segmentation import cut
from workflow_scripts.data.translator import Piece

CODE = "Look:\n\n```python\nprint('Hello. World?')\n```\nDone. Good!"


class Upper:
    """Translates by writing in capitals, and puts the language before."""

    place = None

    def __init__(self, by_sentence=True, most=40, missing=(), mark=True):
        self.by_sentence, self.most, self.missing, self.mark = by_sentence, most, missing, mark
        self.asked: list[Piece] = []

    def size(self, text):
        return len(text)

    def translate(self, pieces):
        self.asked += pieces
        return {p: None if p.text in self.missing else f"{p.target}:{p.text.upper()}" for p in pieces}


def pieces(text, **settings):
    return [part.text for part in cut(text, Upper(**{"most": 1000, **settings})) if part.is_piece]


TEXTS = st.lists(
    st.sampled_from(
        ["Hello", "world", ". ", "? ", "\n", "\n\n", "```\n", "~~~", "- ", "1. ", " ", "Dr. ", "é", "।", "。", "x"]
    )
    | st.text(max_size=5)
).map("".join)


@given(TEXTS, st.booleans(), st.integers(1, 30))
@example(CODE, True, 10)
@example("   \n", False, 1)
def test_pieces_and_gaps_together_are_the_text(text, by_sentence, most):
    translator = Upper(by_sentence, most)
    parts = cut(text, translator)
    assert "".join(part.text for part in parts) == text
    for part in parts:
        if part.is_piece:
            assert part.text == part.text.strip() and any(c.isalpha() for c in part.text)
            assert translator.size(part.text) <= max(most, 1)


@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("One. Two! Three?", ["One.", "Two!", "Three?"]),
        ("Dr. Green says so, e.g. today. Really.", ["Dr. Green says so, e.g. today.", "Really."]),
        ("J. R. Smith has 3.5 pots. He said “Hi.” Then", ["J. R. Smith has 3.5 pots.", "He said “Hi.”", "Then"]),
        ("See example.com now. ok then", ["See example.com now. ok then"]),
        ("M. Petit arrive. Il dit : « Oui ! » Il part.", ["M. Petit arrive.", "Il dit : « Oui ! »", "Il part."]),
        ("¿Qué tal? ¡Muy bien! Adiós.", ["¿Qué tal?", "¡Muy bien!", "Adiós."]),
        ("ما اسمك؟ اسمي سعيد. شكرا", ["ما اسمك؟", "اسمي سعيد.", "شكرا"]),
        ("यह क्या है? यह एक किताब है। धन्यवाद ।", ["यह क्या है?", "यह एक किताब है।", "धन्यवाद ।"]),
        ("Он жил на ул. Мира в 1990 г. и пел. Потом уехал.", ["Он жил на ул. Мира в 1990 г. и пел.", "Потом уехал."]),
        ("你好。你叫什么名字？我叫小明。", ["你好。", "你叫什么名字？", "我叫小明。"]),
    ],
)  # fmt: skip
def test_sentences_end_where_they_do_in_each_script(text, sentences):
    assert pieces(text) == sentences


def test_code_blank_lines_numbers_and_marks_of_lists_stay_as_they_are():
    text = f"# Title\n\n1. First point.\n  - inner one\n> quoted\n42 + 1 = 43\n---\n{CODE}"
    assert pieces(text) == ["Title", "First point.", "inner one", "quoted", "Look:", "Done.", "Good!"]
    parts = cut(CODE, Upper())
    assert "```python\nprint('Hello. World?')\n```\n" in [part.text for part in parts if not part.is_piece]
    assert pieces("Text\n```\nnever closed. Not even here.") == ["Text"]
    assert pieces("````\n```\nstill code\n````\nText") == ["Text"]


def test_a_model_that_sees_context_gets_as_much_as_fits_and_no_code():
    assert pieces(CODE, by_sentence=False) == ["Look:", "Done. Good!"]
    assert pieces("One. Two.\n\nThree.", by_sentence=False) == ["One. Two.\n\nThree."]
    assert pieces("One. Two.\n\nThree.", by_sentence=False, most=10) == ["One. Two.", "Three."]


def test_what_is_too_long_is_cut_at_the_coarsest_break_near_the_middle():
    assert pieces("first part of it, second part of it", most=20) == ["first part of it,", "second part of it"]
    assert pieces("abcdefgh", most=4) == ["abcd", "efgh"]
