"""A language has one name and one code everywhere."""

from workflow_scripts.base.languages import LANGUAGES, language_name


def test_every_language_that_the_project_names_has_a_code_of_the_model():
    from transformers.models.nllb.tokenization_nllb import FAIRSEQ_LANGUAGE_CODES

    assert {code for _, code in LANGUAGES.values()} <= set(FAIRSEQ_LANGUAGE_CODES)
    ours = {"en": "eng_Latn", "hi": "hin_Deva", "fr": "fra_Latn", "es": "spa_Latn", "ar": "arb_Arab", "ru": "rus_Cyrl"}
    assert {code: LANGUAGES[code][1] for code in ours} == ours


def test_a_language_or_topic_without_a_name_is_shown_as_it_stands():
    assert [language_name(code) for code in ("hi", "xx", "pooled", "category=Hate")] == [
        "Hindi",
        "xx",
        "pooled",
        "Hate",
    ]
