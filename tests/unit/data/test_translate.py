"""Code stays as it is, and every language ends up with the same prompts."""

import pyarrow as pa
import pytest

from tests.unit.data.test_segmentation import CODE, Upper
from workflow_scripts.base import records
from workflow_scripts.base.text import detector
from workflow_scripts.data import translate
from workflow_scripts.data.translate import quality, width


def test_quality_falls_with_length_language_and_repetition():
    known = detector(["en", "fr", "hi"])
    english = "The little dog sleeps under the big table in the kitchen."
    french = "Le petit chien dort sous la grande table de la cuisine."
    good = quality(english, french, "fr", known)
    assert good.spoken == "fr" and good.quality == 1.0 and 0.8 < good.ratio < 1.2
    assert quality(english, english, "fr", known).quality == 0.0
    assert quality(english, "Le petit chien dort.", "fr", known).quality == pytest.approx(
        2 * 20 / len(english), abs=0.1
    )
    assert quality(english, "le chien dort et " * 20, "fr", known).quality < 0.3
    assert quality(english, "", "fr", known).quality == 0.0
    assert quality(english, english, "fr", None).quality == 1.0, "nobody to tell the language"
    assert width("नमस्ते") < len("नमस्ते") and width("你好") == 4


def source(*rows):
    blank = {**dict.fromkeys(records.ROWS.names), "source": "original", "split": "train"}
    return pa.Table.from_pylist([{**blank, **row} for row in rows], schema=records.ROWS)


def derive(table, translator, languages=("fr", "hi"), minimum=0.0):
    work = {"name": "derived", "languages": list(languages), "order": ["en", "fr", "hi"], "minimum": minimum}
    return translate.derive(work, table, translator)


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
