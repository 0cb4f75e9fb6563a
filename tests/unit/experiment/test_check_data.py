# ruff: noqa: E501
"""Sources, translators, mixtures and suites name what there is, and have the rows that are asked of them."""

import pytest

from tests.unit.experiment.checked import CHECKED, LLMS, check, synthesis


def dataset(**fields):
    return {"dataset": "lab/data", "revision": "a" * 40, "format": "aya_redteaming", **fields}


NLLB = {"model": "facebook/nllb-200-3.3B", "revision": "a" * 40}


# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "no such source": ({"mixtures/mix/parts": {"general": 0.5, "safty": 0.5}}, ["mixtures.mix.parts: no source 'safty'; did you mean safety?"]),
    "fractions": ({"mixtures/mix/parts/safety": 0.2}, ["mixtures.mix.parts: fractions sum to 0.95; make them sum to 1"]),
    "no parts": ({"mixtures/mix/parts": {}}, ["mixtures.mix.parts: fractions sum to 0"]),
    "no such language": ({"mixtures/mix/languages": ["de"]}, ["mixtures.mix.languages: no language 'de'"]),
    "a language of no world": (
        {"languages": ["en", "xx"]},
        [f"sources.{name}: the world has no 'xx'" for name in CHECKED["sources"]],
    ),
    "a language that the source lacks": (
        {"sources/safety/languages": ["en"]},
        ["mixtures.safety: source 'safety' has no rows in fr", "mixtures.mix: source 'safety' has no rows in fr"],
    ),
    "too many rows": ({"mixtures/mix/per_language": 140}, ["mixtures.mix: needs 105 train rows per language of source 'general', which has 100"]),
    "too many prompts": ({"suites/redteam/per_language": 11}, ["suites.redteam: needs 11 test rows per language"]),
    "a suite of no rows": ({"suites/general/split": "validation"}, ["suites.general: needs 1 validation rows"]),
    "a dataset of the hub without a revision": ({"sources/new": dataset(revision=None)}, ["sources.new.revision: no folder 'lab/data', and a hub id needs a commit"]),
    "a format that is not known": ({"sources/new": dataset(format="aya_redteming")}, ["sources.new.format: no format 'aya_redteming'; did you mean aya_redteaming? (else add formats/aya_redteming.py beside the config)"]),
    "what follows from a format that is not known": (
        {"sources/new": dataset(format="mine"), "suites/new": {"source": "new", "metric": "harm"}, "mixtures/mix/parts": {"new": 1.0}},
        ["sources.new.format: no format 'mine'; add formats/mine.py beside the config or choose from: aya_redteaming, dolly_200"],
    ),
    "shares above one": ({"sources/new": dataset(splits={"train": 0.9, "test": 0.2})}, ["sources.new.splits: shares sum to 1.1; make them sum to 1 or less"]),
    "a language that a dataset lacks": (
        {"sources/new": dataset(format="ultrafeedback_binarized", languages=["en", "fr"])},
        ["sources.new.languages: ultrafeedback_binarized has no 'fr', only en"],
    ),
    "a suite in a language that a dataset lacks": (
        {"sources/new": dataset(format="ultrafeedback_binarized"), "suites/new": {"source": "new", "metric": "preference"}},
        ["suites.new: source 'new' has no rows in fr"],
    ),
    "a translation of nothing": (
        {"sources/new": {"translate": "nothing", "translator": "nllb", "languages": ["fr"]}, "translators/nllb": NLLB},
        ["sources.new.translate: no source 'nothing'"],
    ),
    "a translation by nobody": (
        {"sources/new": {"translate": "general", "translator": "nobody", "languages": ["fr"]}},
        ["sources.new.translator: no translator 'nobody'"],
    ),
    "translations of one another": (
        {
            "sources/one": {"translate": "other", "translator": "nllb", "languages": ["fr"]},
            "sources/other": {"translate": "one", "translator": "nllb", "languages": ["fr"]},
            "translators/nllb": NLLB,
            "suites/new": {"source": "one", "metric": "harm"},
        },
        [
            "sources.one.translate: 'one' is made from itself (one <- other <- one); break the cycle",
            "sources.other.translate: 'other' is made from itself (other <- one <- other); break the cycle",
        ],
    ),
    "a language without a code": (
        {
            "languages": ["en", "fr", "xx"],
            "sources/new": {"translate": "mine", "translator": "nllb", "languages": ["xx"]},
            "sources/mine": dataset(languages=["en"]),
            **{f"sources/{name}/languages": ["en", "fr"] for name in CHECKED["sources"]},
            **{f"mixtures/{name}/languages": ["en", "fr"] for name in CHECKED["mixtures"]},
            **{f"suites/{name}/languages": ["en", "fr"] for name in CHECKED["suites"]},
            "translators/nllb": NLLB,
        },
        ["translators.nllb.codes: the code of 'xx' is not known; add it here"],
    ),
    "a translator of the hub without a revision": (
        {"translators/nllb": {"model": "facebook/nllb-200-3.3B"}},
        ["translators.nllb.revision: no folder 'facebook/nllb-200-3.3B', and a hub id needs a commit"],
    ),
    "a translator that no language model is": (
        {"translators/gpt": {"llm": "gpt", "prompt": "no-such"}},
        ["translators.gpt.llm: no LLM 'gpt'", "translators.gpt.prompt: no prompt 'no-such'; add prompts/no-such.txt beside the config or choose from: harm-short, harm-v1"],
    ),
    "an unknown key of a translator": ({"translators/nllb": {**NLLB, "beam": 2}}, ["translators.nllb.beam: unknown key"]),
    "a file that is not there": ({"sources/mine": {"file": "no/such.jsonl"}}, ["sources.mine.file: no file 'no/such.jsonl'; give its path"]),
    "a synthesis of nothing": (
        {"sources/made": synthesis(synthesise="sedes", rephraser="riter", completers=["x"], judge="no", prompt="p-v1")},
        [f"sources.made.{key}: no " for key in ("rephraser", "completers", "judge", "prompt", "synthesise")],
    ),
    "a synthesis of itself": (
        {"sources/made": synthesis(synthesise="again"), "sources/again": synthesis(synthesise="made"), **LLMS},
        ["sources.made.synthesise: 'made' is made from itself", "sources.again.synthesise: 'again' is made from"],
    ),
    "a synthesis judged by the miniature's judge": (
        {"sources/made": synthesis(judge="rules"), **LLMS},
        ["sources.made.judge: 'rules' knows the miniature's own prompts alone; name an LLM that judges"],
    ),
    "a synthesis": ({"sources/made": synthesis(), **LLMS}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])
