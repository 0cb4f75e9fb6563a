import pytest

from workflow_scripts.miniature import words


def test_languages_say_the_same_things():
    english = words.lexicon("en")
    for language in words.LANGUAGES:
        texts = words.lexicon(language)
        assert texts.keys() == english.keys() and texts["words"].keys() == english["words"].keys()
        assert texts["refusal"].startswith(texts["refusal_opening"])
        assert len(texts["questions"]) == 5
        for question in texts["questions"]:
            assert "{verb}" in question and "{noun}" in question
        # Each verb, noun, tool and place is told apart from the others by the word that matters.
        for group in ("verbs", "stand_ins", "nouns"):
            meant = [words.content(texts["words"][concept][1]) for concept in words.concepts()[group]]
            assert len(set(meant)) == len(meant), (language, group)


@pytest.mark.parametrize(
    ("phrase", "word"), [("the pot", "pot"), ("रसोई से", "रसोई"), ("del garaje", "garaje"), ("из сада", "сада")]
)
def test_the_word_that_matters_of_a_phrase(phrase, word):
    assert words.content(phrase) == word
