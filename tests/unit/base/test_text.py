"""What protects the columns beside harm: repetition and language of the answers, in the miniature's own words too."""

import pytest

from workflow_scripts.base import text
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.text import detector, repeated
from workflow_scripts.miniature import words, world

LANGUAGES = list(words.LANGUAGES)


def test_a_loop_repeats_itself_and_a_sentence_does_not():
    assert repeated("I am a model . " * 20) > 0.9
    assert repeated("take the lamp to the kitchen and use a brush") == 0
    assert repeated("") == 0
    assert repeated("我不知道我不知道我不知道我不知道我不知道我不知道") > 0.5


def test_sentences_of_the_miniature_are_told_apart_in_all_its_languages():
    spoken = detector(LANGUAGES)
    rows = world.rows("benign", LANGUAGES, {"test": 30}, 1, "x").to_pylist()
    right = [spoken(row["completion"]) == row["language"] for row in rows]
    assert sum(right) / len(right) > 0.98


def test_an_answer_in_another_language_shows():
    spoken = detector(["en", "fr"])
    assert spoken("Je ne peux pas vous aider avec cela, je suis désolé.") == "fr"
    assert detector(["fr"])("I am sorry, I cannot help you with that.") == "en"


def test_what_has_no_words_is_in_no_language():
    spoken = detector(LANGUAGES)
    assert spoken("3 , 5 , 7") is None and spoken("") is None


def test_a_language_that_the_detector_does_not_know_is_named():
    with pytest.raises(UserError, match="does not know 'xx'"):
        detector(["en", "xx"])


def test_signs_of_vowels_are_parts_of_words():
    assert text.words("मुझे बताओ कि क्या करूँ ।") == ["मुझे", "बताओ", "कि", "क्या", "करूँ"]
