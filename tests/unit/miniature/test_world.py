import json
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.records import ROWS
from workflow_scripts.miniature import draws, words, world

ALL = list(words.LANGUAGES)
SIZES = {"train": 200, "validation": 60, "test": 100}
# what sha256 of the rows of each kind begins with, by language in the order of ALL
PINNED = {
    "pretraining": "c9870ff0 a7d26331 676b8c14 d8768c41 1c0b8cb9 71106a2d",
    "general": "9a2f300f fbf23bdc 7a022bff 9e2837a2 1d5c886f ef84113b",
    "safety": "7b77e53c 19f58c88 8f7894fa 31d5c4c3 4dac5fe5 44d76d97",
    "redteam": "1f39bc9c c8226a0a 65215588 1c172c72 9bb2d3d3 0d2f2d0d",
    "benign": "d5650030 46191424 b96ccad2 7006bcca c9be5d2d f96583d9",
    "labelled": "121fbd7a c8e25a5f e388c358 bfbc3115 bd4198db 70fd588e",
}


def rows(kind, languages=ALL, per_language=SIZES, seed=1, source="it"):
    return world.rows(kind, languages, per_language, seed, source).to_pylist()


@pytest.fixture(scope="module")
def everything():
    return {(kind, seed): rows(kind, seed=seed) for kind in world.KINDS for seed in (1, 2)}


def test_rows_fit_the_schema_and_ids_are_unique():
    table = world.rows("general", ALL, SIZES, 1, "it")
    assert table.schema.equals(ROWS)
    assert len(set(table["id"].to_pylist())) == table.num_rows == 6 * sum(SIZES.values())
    assert set(table["source"].to_pylist()) == {"it"}


def test_nothing_held_out_is_ever_trained_on_whatever_the_kind_or_seed(everything):
    prompts = {split: set() for split in SIZES}
    for table in everything.values():
        for row in table:
            prompts[row["split"]].add(row["prompt"])
    assert not prompts["train"] & prompts["validation"]
    assert not prompts["train"] & prompts["test"]
    assert not prompts["validation"] & prompts["test"]


def test_held_out_sums_are_not_trained_on_one_by_one(everything):
    sums = {split: set() for split in SIZES}
    for row in everything["general", 1] + everything["pretraining", 2]:
        if json.loads(row["reference"])["task"] == "sums":
            sums[row["split"]].update(row["prompt"].split(" : ")[1].replace("،", ",").split(" , "))
    assert sums["train"] and sums["test"] and not sums["train"] & sums["test"]


def test_test_has_a_question_form_of_its_own():
    asked = {split: set() for split in SIZES}
    for row in rows("redteam", ["en"]):
        requested = json.loads(row["reference"])["requested"]
        asked[row["split"]].add(" ".join("_" if word in requested else word for word in row["prompt"].split()))
    assert len(asked["test"] - asked["train"]) == len(asked["validation"] - asked["train"]) == 1
    assert asked["train"] < asked["test"] and not (asked["test"] - asked["train"]) & asked["validation"]


@pytest.mark.parametrize("kind", world.KINDS)
def test_a_language_does_not_depend_on_the_others(kind):
    assert rows(kind, ["hi"]) == [row for row in rows(kind, ["ru", "hi", "en"]) if row["language"] == "hi"]


@settings(deadline=None, max_examples=25)
@given(
    kind=st.sampled_from(sorted(world.KINDS)),
    split=st.sampled_from(sorted(SIZES)),
    fewer=st.integers(0, 120),
    seed=st.integers(0, 5),
)
def test_fewer_rows_are_a_prefix_of_more(kind, split, fewer, seed):
    assert rows(kind, ["en"], {split: fewer}, seed) == rows(kind, ["en"], {split: 120}, seed)[:fewer]


@pytest.mark.parametrize("kind", ["general", "redteam", "benign", "safety"])
def test_rows_of_one_source_prompt_are_translations_of_one_another(kind):
    clusters = Counter(row["source_prompt_id"] for row in rows(kind))
    assert set(clusters.values()) == {len(ALL)}
    for row in rows(kind, per_language={"test": 30}):
        # Of every script but Latin, a prompt holds at least one word of its language.
        script = {"hi": "DEVANAGARI", "ar": "ARABIC", "ru": "CYRILLIC"}.get(row["language"], "LATIN")
        assert any(unicodedata.name(letter).startswith(script) for letter in row["prompt"] if letter.isalpha())


def test_the_same_item_is_asked_in_every_language():
    drawn = {row["language"]: row["prompt"] for row in rows("redteam", per_language={"test": 1}, seed=3)}
    for language, prompt in drawn.items():
        form = [question.split("{noun}")[0].split("{verb}")[0] for question in words.lexicon(language)["questions"]]
        assert any(prompt.startswith(start) for start in form)
    items = {row["source_prompt_id"] for row in rows("redteam", per_language={"test": 1}, seed=3)}
    assert len(items) == 1


def test_the_seed_orders_but_does_not_change_items():
    first, second = ({row["id"]: row["prompt"] for row in rows("benign", seed=seed)} for seed in (1, 2))
    shared = first.keys() & second.keys()
    assert list(first) != list(second) and shared
    assert all(first[one] == second[one] for one in shared)


def test_rows_are_the_same_on_every_machine_and_python():
    table = rows("safety", ["en", "ar"], {"train": 50}, seed=7)
    text = json.dumps([[row["id"], row["prompt"], row["completion"], row["rejected"]] for row in table])
    assert draws.digest(text) == 3048749112289570418


@pytest.mark.parametrize("kind", world.KINDS)
def test_rows_of_every_kind_and_language_stay_what_they_are(kind):
    sizes = {"train": 60, "validation": 10, "test": 20}
    found = [hashing.of_table(world.rows(kind, [language], sizes, 3, "pinned"))[:8] for language in ALL]
    assert found == PINNED[kind].split()


@pytest.mark.parametrize("kind", world.KINDS)
@pytest.mark.parametrize("split", draws.SHARES)
def test_asking_for_too_much_names_kind_split_and_the_maximum_that_there_is(kind, split):
    with pytest.raises(UserError, match=rf"mine: .* {split} rows .* {kind}, which has at most \d+") as error:
        rows(kind, ["en"], {split: 50_000}, source="mine")
    most = int(str(error.value).split("at most ")[1].split(";")[0])
    assert len({row["id"] for row in rows(kind, ["en"], {split: most})}) == most
    with pytest.raises(UserError):
        rows(kind, ["en"], {split: most + 1})


@pytest.mark.parametrize(
    ("kind", "languages", "split", "named"),
    [("genral", ["en"], "test", "genral"), ("general", ["de"], "test", "de"), ("general", ["en"], "dev", "dev")],
)
def test_unknown_names_are_reported(kind, languages, split, named):
    with pytest.raises(UserError, match=f"'{named}'; choose from"):
        rows(kind, languages, {split: 1})


@pytest.mark.parametrize("language", [["hi"], ["en", "fr"], ALL])
def test_the_first_pretraining_rows_hold_every_word_that_any_row_can_have(language, everything):
    shown = rows("pretraining", language, {"train": world.SHOWN}, seed=9)
    words = {word for row in shown for side in ("prompt", "completion") for word in row[side].split()}
    assert words == set(world.vocabulary(language))
    for table in everything.values():
        for row in table:
            if row["language"] in language:
                rejected = row["rejected"] or ""
                assert words.issuperset(f"{row['prompt']} {row['completion']}".split()), row
                assert language != ALL or words.issuperset(rejected.split())


def test_text_is_spaced_and_normalised(everything):
    for table in everything.values():
        for row in table:
            for text in filter(None, (row["prompt"], row["completion"], row["rejected"])):
                assert text == " ".join(text.split()) == unicodedata.normalize("NFC", text)
                assert "{" not in text
                assert not any(len(word) > 1 and word[-1] in ".,?؟،।:" for word in text.split()), text


def test_preferences_have_two_different_sides(everything):
    for (kind, _), table in everything.items():
        for row in table:
            assert row["completion"]
            assert (row["rejected"] is None) == (kind in ("pretraining", "labelled"))
            assert row["rejected"] != row["completion"]


def test_the_safety_rows_refuse_harm_and_answer_its_benign_counterpart():
    unseen = {words.lexicon("en")["words"][verb][1] for verb in words.concepts()["unseen_stand_ins"]}
    refusal, harmful = words.lexicon("en")["refusal"], 0
    for row in rows("safety", ["en"]):
        known = json.loads(row["reference"])
        harmful += bool(known["requested"])
        assert (row["completion"] == refusal) == bool(known["requested"])
        assert (row["rejected"] == refusal) == (not known["requested"])
        assert not unseen & set(row["prompt"].split())
    share = world.KINDS["safety"][0].share
    assert abs(harmful / sum(SIZES.values()) - share) < 0.02
    assert unseen & {word for row in rows("redteam", ["en"]) for word in row["prompt"].split()}


def test_shares_hold_in_every_prefix():
    for amount in (20, 100, 400):
        tasks = Counter(
            json.loads(row["reference"])["task"] for row in rows("general", ["en"], {"train": amount}, seed=4)
        )
        for part in world.KINDS["general"]:
            assert abs(tasks[part.task] - part.share * amount) <= len(world.KINDS["general"]) / 2


@pytest.mark.parametrize("kind", world.KINDS)
def test_shares_of_a_kind_sum_to_one(kind):
    assert sum(part.share for part in world.KINDS[kind]) == pytest.approx(1)
