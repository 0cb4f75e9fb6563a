"""Published datasets come out as rows of one schema, with their quirks minded, or one line says which row is wrong."""

import json
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.data import dataset
from workflow_scripts.data.formats import FORMATS, aya_redteaming

FIXTURES = Path(__file__).parents[2] / "fixtures"
SIX = ["en", "hi", "fr", "es", "ar", "ru"]
FOLDERS = {
    "ultrafeedback_binarized": "ultrafeedback_binarized",
    "aya_redteaming": "aya_redteaming",
    "dolly_200": "aya_evaluation_suite",
    "polyguard": "polyguardprompts",
    "polyguard_benign": "polyguardprompts",
}
SCRIPTS = {"hi": (0x900, 0x97F), "ar": (0x600, 0x6FF), "ru": (0x400, 0x4FF)}


def read(name, folder=None, **settings):
    work = {
        "dataset": str(folder or FIXTURES / FOLDERS[name]),
        "revision": None,
        "format": name,
        "languages": [language for language in SIX if language in FORMATS[name].languages],
        "splits": {},
        "split_seed": 0,
        "limit": None,
        "seed": 0,
        "without": [],
        "name": "mine",
    }
    return dataset.rows({**work, **settings})


def rewritten(tmp_path, name, file, change):
    """A copy of a fixture in which one file's rows are changed."""
    folder = tmp_path / "copy"
    for path in (FIXTURES / FOLDERS[name]).rglob("*"):
        if path.is_file():
            place = folder / path.relative_to(FIXTURES / FOLDERS[name])
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(path.read_bytes())
    path = folder / file
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(change(pq.read_table(path).to_pylist())), path)
    else:
        rows = change([json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()])
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def altered(number, **columns):
    def change(rows):
        rows[number] = {**rows[number], **columns}
        return rows

    return change


@pytest.mark.parametrize("name", FORMATS)
def test_every_dataset_gives_rows_of_the_schema_with_ids_of_their_own_that_stay(name):
    table, counts = read(name)
    assert table.schema == records.ROWS and len(table)
    assert len(set(table["id"].to_pylist())) == len(table)
    assert set(table["source"].to_pylist()) == {"mine"}
    for row in table.to_pylist():
        assert row["prompt"].strip()
        if row["language"] in SCRIPTS:
            low, high = SCRIPTS[row["language"]]
            assert any(low <= ord(character) <= high for character in row["prompt"] + (row["completion"] or ""))
    assert len(table) + sum(counts["left_out"].values()) == sum(counts["read"].values())
    other, _ = read(name, seed=1, split_seed=1, limit=5)
    prompts = dict(zip(table["id"].to_pylist(), table["prompt"].to_pylist(), strict=True))
    assert all(prompts[row["id"]] == row["prompt"] for row in other.to_pylist()), "whatever is drawn"


def test_pairs_lose_ties_conversations_and_what_is_empty_and_say_how_many():
    table, counts = read("ultrafeedback_binarized")
    assert counts["left_out"] == {"tie": 1, "multi-turn": 1, "empty": 1, "duplicate": 1}
    rows = table.to_pylist()
    assert Counter(row["split"] for row in rows) == {"train": 56, "test": 8}
    assert all(row["completion"] and row["rejected"] and row["completion"] != row["rejected"] for row in rows)
    assert not {"Which is better, tea or coffee ?", "Say nothing .", "Hello !"} & {row["prompt"] for row in rows}


def test_categories_are_a_list_in_a_string_in_whatever_spelling():
    rows = read("aya_redteaming")[0].to_pylist()
    assert {category for row in rows for category in row["categories"]} == set(aya_redteaming.CATEGORIES)
    assert any(len(row["categories"]) == 2 for row in rows) and {row["scope"] for row in rows} == {"global", "local"}
    assert aya_redteaming.categories('["Self Harm", "BULLYING and harassment", "Bullying & Harassment"]') == [
        "Self-harm",
        "Bullying & Harassment",
    ]
    assert aya_redteaming.categories('["Something new "]') == ["Something new"]
    assert aya_redteaming.categories("['Hate speech']") == ["Hate Speech"]
    assert aya_redteaming.categories(None) == []


def test_native_prompts_that_say_the_same_in_english_are_one_source_prompt(tmp_path):
    english = read("aya_redteaming", languages=["en"])[0].to_pylist()[0]
    folder = rewritten(
        tmp_path, "aya_redteaming", "aya_fra.jsonl", altered(3, literal_translation=english["prompt"].upper() + "!")
    )
    rows = read("aya_redteaming", folder)[0].to_pylist()
    of_prompt = [row for row in rows if row["source_prompt_id"] == english["source_prompt_id"]]
    assert {"en", "fr"} <= {row["language"] for row in of_prompt}
    split = read("aya_redteaming", folder, splits={"train": 0.5, "test": 0.5})[0].to_pylist()
    for key in {row["source_prompt_id"] for row in split}:
        assert len({row["split"] for row in split if row["source_prompt_id"] == key}) == 1


def test_general_prompts_are_edited_by_people_where_they_are_and_joined_across_languages():
    rows = read("dolly_200")[0].to_pylist()
    by_prompt = Counter(row["source_prompt_id"] for row in rows)
    assert set(by_prompt.values()) == {6} and len(by_prompt) == 20
    assert not [row for row in rows if row["prompt"].startswith(("~", "latin"))], "machine's, or in another script"
    assert {row["split"] for row in rows} == {"test"}


def test_a_language_whose_prompts_do_not_match_is_named(tmp_path):
    file = "dolly_human_edited/test-00000-of-00001.parquet"

    def drop(rows):
        return [row for row in rows if (row["language"], row["id"]) not in {("fra", 3), ("fra", 5)}]

    with pytest.raises(UserError, match=r"'en' and 'fr' do not match by id \(2 stand alone, such as 3, 5\)"):
        read("dolly_200", rewritten(tmp_path, "dolly_200", file, drop))


def test_labels_come_from_people_and_benign_prompts_without_answers():
    labelled, counts = read("polyguard")
    assert set(labelled["label"].to_pylist()) == {"harmful", "harmless"} and labelled["completion"].null_count == 0
    assert counts["left_out"] == {"unlabelled": 24}
    benign = read("polyguard_benign")[0]
    assert benign["completion"].null_count == len(benign) == 72


@pytest.mark.parametrize(
    ("name", "file", "change", "parts"),
    [
        ("aya_redteaming", "aya_hin.jsonl", {"harm_category": "Hate"}, ["hindi", "row 4", "column 'harm_category'"]),
        ("aya_redteaming", "aya_hin.jsonl", {"harm_category": "[3]"}, ["row 4", "is no list of texts, but '[3]'"]),
        (
            "polyguard",
            "data/test-00000-of-00001.parquet",
            {"response_harm_label": "maybe"},
            ["test", "row 4", "'response_harm_label' is neither harmful nor unharmful, but 'maybe'"],
        ),
        (
            "polyguard",
            "data/test-00000-of-00001.parquet",
            {"id": None},
            ["test", "row 4", "column 'id' is not an id, but None"],
        ),
        (
            "ultrafeedback_binarized",
            "data/train_prefs-00000-of-00001.parquet",
            {"score_chosen": None},
            ["train_prefs", "row 4", "column 'score_chosen' is not a number, but None"],
        ),
        (
            "ultrafeedback_binarized",
            "data/train_prefs-00000-of-00001.parquet",
            {"rejected": None},
            ["train_prefs", "row 4", "column 'rejected' is not a list of messages, but None"],
        ),
    ],
)
def test_what_a_column_should_not_hold_is_named_by_dataset_column_and_row(tmp_path, name, file, change, parts):
    folder = rewritten(tmp_path, name, file, altered(3, **change))
    with pytest.raises(UserError) as error:
        read(name, folder)
    line = str(error.value)
    assert line.startswith(str(folder)) and "\n" not in line
    for part in parts:
        assert part in line, line


def test_a_column_of_numbers_is_no_text(tmp_path):
    folder = rewritten(tmp_path, "aya_redteaming", "aya_hin.jsonl", lambda rows: [{**row, "prompt": 7} for row in rows])
    with pytest.raises(UserError, match=r"hindi.: row 1: column 'prompt' is not text, but 7"):
        read("aya_redteaming", folder)


@pytest.mark.parametrize("name", FORMATS)
def test_a_column_that_is_missing_is_named_with_those_that_are_there(tmp_path, name):
    part = FORMATS[name].languages["en"][0]
    column = list(FORMATS[name].columns)[-1]
    files = {
        "aya_redteaming": "aya_eng.jsonl",
        "dolly_200": "dolly_machine_translated/test-00000-of-00001.parquet",
        "ultrafeedback_binarized": "data/train_prefs-00000-of-00001.parquet",
    }
    folder = rewritten(
        tmp_path,
        name,
        files.get(name, "data/test-00000-of-00001.parquet"),
        lambda rows: [{key: value for key, value in row.items() if key != column} for row in rows],
    )
    has = next(iter(FORMATS[name].columns))
    with pytest.raises(UserError, match=f"{part.split}.*: has no column '{column}' .it has .*{has}"):
        read(name, folder, languages=["en"])


def test_shares_split_source_prompts_and_no_prompt_is_in_two_splits():
    splits = {"train": 0.5, "validation": 0.1, "test": 0.3}
    rows = read("dolly_200", splits=splits)[0].to_pylist()
    found = {}
    for row in rows:
        assert found.setdefault(row["source_prompt_id"], row["split"]) == row["split"], "the same in every language"
    assert set(found.values()) <= set(splits) and 8 < len(found) < 20, "a fifth is left out, more or less"
    more = read("dolly_200", splits={"train": 0.7, "test": 0.3})[0].to_pylist()
    trained = {row["source_prompt_id"] for row in more if row["split"] == "train"}
    assert {key for key, split in found.items() if split == "train"} <= trained, "a larger share only adds"
    other = read("dolly_200", splits=splits, split_seed=1)[0].to_pylist()
    assert {r["source_prompt_id"]: r["split"] for r in other} != found


@given(st.dictionaries(st.sampled_from(["train", "validation", "test"]), st.floats(0, 1 / 3)), st.text())
def test_a_split_depends_on_nothing_but_the_seed_the_shares_and_the_prompt(splits, key):
    work = {"splits": splits, "split_seed": 3}
    assert dataset._split(work, key) == dataset._split(dict(work), key)
    assert dataset._split(work, key) in {*splits, dataset.LEFT_OUT} or not splits


def test_a_limit_takes_the_same_prompts_in_every_language_and_a_larger_one_adds_to_it():
    few, more = (read("dolly_200", limit=limit)[0].to_pylist() for limit in (4, 9))
    assert Counter(row["language"] for row in few) == dict.fromkeys(SIX, 4)
    assert len({row["source_prompt_id"] for row in few}) == 4
    assert [row for row in more if row["source_prompt_id"] in {r["source_prompt_id"] for r in few}] == few
    assert read("dolly_200", limit=4, seed=1)[0].to_pylist() != few


def test_source_prompts_can_be_left_out_by_id_and_a_wrong_id_is_named():
    table, counts = read("dolly_200", without=["3", "5"])
    assert len(table) == 6 * 18 and not {"3", "5"} & set(table["source_prompt_id"].to_pylist())
    assert counts["left_out"] == {"chosen by config": 12}
    with pytest.raises(UserError, match="sources.mine.without: '77' is no source prompt"):
        read("dolly_200", without=["77"])


def test_the_fixtures_are_what_their_script_makes(tmp_path, monkeypatch):
    from tests.fixtures import make

    monkeypatch.setattr(make, "HERE", tmp_path)
    for published in (make.ultrafeedback, make.redteam, make.dolly, make.polyguard):
        published()
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        committed = FIXTURES / path.relative_to(tmp_path)
        if path.suffix == ".parquet":
            assert pq.read_table(path).equals(pq.read_table(committed)), path.name
        else:
            assert path.read_bytes() == committed.read_bytes(), path.name
