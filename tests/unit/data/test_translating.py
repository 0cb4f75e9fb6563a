"""Texts are cut without loss, code is left alone, and every language ends up with the same prompts."""

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from workflow_scripts.base import records
from workflow_scripts.base.text import detector
from workflow_scripts.data import translating
from workflow_scripts.data.translating import LANGUAGES, Piece, cut, quality, width

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


def test_every_language_that_the_project_names_has_a_code_of_the_model():
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert {code for _, code in LANGUAGES.values()} <= set(FAIRSEQ_LANGUAGE_CODES)
    ours = {"en": "eng_Latn", "hi": "hin_Deva", "fr": "fra_Latn", "es": "spa_Latn", "ar": "arb_Arab", "ru": "rus_Cyrl"}
    assert {code: LANGUAGES[code][1] for code in ours} == ours


def test_quality_falls_with_length_language_and_repetition():
    told = detector(["en", "fr", "hi"])
    english = "The little dog sleeps under the big table in the kitchen."
    french = "Le petit chien dort sous la grande table de la cuisine."
    good = quality(english, french, "fr", told)
    assert good.spoken == "fr" and good.quality == 1.0 and 0.8 < good.ratio < 1.2
    assert quality(english, english, "fr", told).quality == 0.0
    assert quality(english, "Le petit chien dort.", "fr", told).quality == pytest.approx(2 * 20 / len(english), abs=0.1)
    assert quality(english, "le chien dort et " * 20, "fr", told).quality < 0.3
    assert quality(english, "", "fr", told).quality == 0.0
    assert quality(english, english, "fr", None).quality == 1.0, "nobody to tell the language"
    assert width("नमस्ते") < len("नमस्ते") and width("你好") == 4


def source(*rows):
    blank = {**dict.fromkeys(records.ROWS.names), "source": "original", "split": "train"}
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=records.ROWS)


def derive(table, translator, languages=("fr", "hi"), minimum=0.0):
    work = {"name": "derived", "languages": list(languages), "order": ["en", "fr", "hi"], "minimum": minimum}
    return translating.derive(work, table, translator)


def row(key, language="en", number="", **more):
    return {"id": f"{key}{number}-{language}", "source_prompt_id": key, "language": language, **more}


def test_originals_stay_and_translations_have_their_prompt_split_and_facts():
    table = source(
        row(
            "a", prompt="Hello. World!", completion=CODE, rejected="No.", categories=["x"], scope="local", split="test"
        ),
        row("b", prompt="Only a prompt."),
    )
    made = derive(table, Upper())
    rows = {r["id"]: r for r in made.rows.to_pylist()}
    assert list(rows) == ["a-en", "a-en.fr", "a-en.hi", "b-en", "b-en.fr", "b-en.hi"]
    assert rows["a-en"] == {**table.to_pylist()[0], "source": "derived"}
    french = rows["a-en.fr"]
    assert french["prompt"] == "fr:HELLO. fr:WORLD!" and french["rejected"] == "fr:NO."
    assert french["completion"] == "fr:LOOK:\n\n```python\nprint('Hello. World?')\n```\nfr:DONE. fr:GOOD!"
    assert (french["split"], french["categories"], french["scope"]) == ("test", ["x"], "local")
    assert (french["source_prompt_id"], french["language"], french["source"]) == ("a", "fr", "derived")
    assert rows["b-en.hi"]["completion"] is None
    assert [q["field"] for q in made.qualities.to_pylist() if q["id"] == "a-en.fr"] == [
        "prompt",
        "completion",
        "rejected",
    ]


def test_what_the_source_has_in_a_language_is_not_translated_into_it():
    table = source(row("a", prompt="One"), row("a", "fr", prompt="Un"), row("b", "fr", prompt="Deux"))
    translator = Upper()
    rows = {r["id"]: r["prompt"] for r in derive(table, translator).rows.to_pylist()}
    assert rows == {"a-en": "One", "a-fr": "Un", "a-en.hi": "hi:ONE", "b-fr": "Deux", "b-fr.hi": "hi:DEUX"}
    assert {(p.source, p.target) for p in translator.asked} == {("en", "hi"), ("fr", "hi")}


def test_the_same_piece_is_translated_once_in_whatever_texts_it_stands():
    table = source(*(row("a", number=n, prompt="Hello. World!", completion="World!") for n in range(5)))
    translator = Upper()
    assert len(derive(table, translator, ["fr"]).rows) == 10
    assert sorted(p.text for p in translator.asked) == ["Hello.", "World!"]


def test_a_prompt_that_one_language_lacks_goes_in_all_languages_and_is_counted():
    table = source(row("a", prompt="Good one."), row("b", prompt="Bad one."), row("b", number=2, prompt="Fine one."))
    made = derive(table, Upper(missing=("Bad one.",)))
    assert {r["source_prompt_id"] for r in made.rows.to_pylist()} == {"a"}
    assert made.counts == {
        "translated_rows": 6, "untranslated_texts": 2, "texts_below_minimum": 0, "prompts_left_out": 1,
    }  # fmt: skip
    assert {(q["source_prompt_id"], q["kept"]) for q in made.qualities.to_pylist()} == {("a", True), ("b", False)}


def test_a_prompt_below_the_minimum_goes_in_all_languages():
    class Short(Upper):
        def translate(self, pieces):
            return {p: p.text[:2] if (p.text.startswith("Bad"), p.target) == (True, "hi") else p.text for p in pieces}

    table = source(row("a", prompt="123 Good and long enough."), row("b", prompt="Bad, so it is not told in full."))
    assert {r["id"] for r in derive(table, Short(), minimum=0.0).rows.to_pylist()} >= {"b-en", "b-en.hi"}
    left = derive(table, Short(), ["hi"], minimum=0.2)
    assert left.counts["texts_below_minimum"] >= 1 and "b-en" not in left.rows["id"].to_pylist()
