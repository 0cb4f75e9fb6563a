"""A user's rows become rows of one schema, or one line says which row or column is wrong."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.data import source

WORK = {"name": "mine", "split": "train", "columns": {}, "languages": ["en", "fr"]}
ROWS = [
    {"prompt": "One", "language": "en", "completion": "1"},
    {"prompt": "Un", "language": "fr", "completion": "2"},
    {"prompt": "Eins", "language": "de", "completion": "3"},
]


def write(path, rows):
    match path.suffix:
        case ".jsonl":
            path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        case ".csv":
            with path.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
                writer.writeheader()
                writer.writerows(rows)
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path)
    return path


@pytest.fixture(params=[".jsonl", ".csv", ".parquet"])
def path(request, tmp_path):
    return tmp_path / f"rows{request.param}"


def read(path, rows, **work):
    return source.rows({**WORK, **work}, write(path, rows))


def refused(path, rows, **work):
    with pytest.raises(UserError) as error:
        read(path, rows, **work)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)
    return str(error.value)


def test_rows_of_the_experiments_languages_are_taken_with_defaults_for_the_rest(path):
    table = read(path, ROWS)
    assert table.schema == records.ROWS
    assert table["prompt"].to_pylist() == ["One", "Un"]
    assert table["completion"].to_pylist() == ["1", "2"]
    assert set(table["source"].to_pylist()) == {"mine"} and set(table["split"].to_pylist()) == {"train"}
    assert table["rejected"].null_count == 2


def test_columns_of_other_names_are_found_even_beside_one_of_ours(path):
    rows = [{"text": "One", "lang": "en", "prompt": "not this one"}]
    table = read(path, rows, columns={"prompt": "text", "language": "lang"})
    assert table["prompt"].to_pylist() == ["One"] and table["language"].to_pylist() == ["en"]


def test_text_that_looks_like_something_else_stays_text(path):
    rows = [{"prompt": text, "language": "en", "id": text} for text in ("01", "2024-01-01", "1e5", "NA", "true")]
    table = read(path, rows)
    assert table["prompt"].to_pylist() == table["id"].to_pylist() == ["01", "2024-01-01", "1e5", "NA", "true"]


def test_long_texts_of_many_lines_are_whole(path):
    text = 'a line, with "quotes"\nand another\n' * 60_000
    assert read(path, [{"prompt": text, "language": "en"}])["prompt"].to_pylist() == [text]


def test_ids_stay_with_their_prompts_when_rows_move_or_answers_change(path):
    before = read(path, ROWS)
    after = read(path, [{**row, "completion": "new"} for row in reversed(ROWS)])
    ids = [dict(zip(t["prompt"].to_pylist(), t["id"].to_pylist(), strict=True)) for t in (before, after)]
    assert ids[0] == ids[1] and len(set(ids[0].values())) == 2


def test_the_same_prompt_with_two_answers_is_two_rows_of_one_prompt(path):
    table = read(path, [ROWS[0], {**ROWS[0], "completion": "another"}])
    assert len(set(table["id"].to_pylist())) == 2
    assert len(set(table["source_prompt_id"].to_pylist())) == 1


def test_a_column_that_is_not_there_is_named_with_those_that_are(path):
    assert "no column 'language'" in refused(path, [{"prompt": "One", "lang": "en"}])
    line = refused(path, ROWS, columns={"rejected": "worse"})
    assert "no column 'worse'" in line and "completion" in line


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_prompt_is_named_by_its_row(path, empty):
    assert "row 2 has " in refused(path, [ROWS[0], {**ROWS[1], "prompt": empty}, ROWS[2]])


def test_a_split_that_nothing_reads_is_named_by_its_row_and_a_missing_one_is_the_default(tmp_path):
    rows = [{**ROWS[0], "split": "test"}, {**ROWS[1], "split": None}]
    path = tmp_path / "rows.jsonl"
    assert read(path, rows, split="validation")["split"].to_pylist() == ["test", "validation"]
    assert "row 2 has 'dev' as split" in refused(path, [rows[0], {**ROWS[1], "split": "dev"}])


def test_ids_that_stand_twice_or_are_missing_are_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert "id 'a' stands in 2 rows" in refused(path, [{**row, "id": "a"} for row in ROWS[:2]])
    assert "id None stands in 1 rows" in refused(path, [{**ROWS[0], "id": "a"}, ROWS[1]])


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    for name, content, message in (
        ("rows.txt", b"", "unknown kind of file; give one of .jsonl, .csv, .parquet"),
        ("rows.parquet", b"PAR1 cut", "fix the file"),
        ("rows.jsonl", b'{"prompt": ', "fix the file"),
        ("rows.csv", b"", "fix the file"),
        ("rows.csv", b"prompt,prompt,language\na,b,en\n", "two columns are called 'prompt'"),
        ("rows.jsonl", b'{"prompt": {"a": 1}, "language": "en"}\n', "fix the file"),
    ):
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(UserError, match=message):
            source.rows(WORK, path)
    with pytest.raises(UserError, match="no such file"):
        source.rows(WORK, tmp_path / "none.csv")
    categories = [{"prompt": "a", "language": "en", "categories": 3}]
    assert "column 'categories' is not list" in refused(tmp_path / "odd.parquet", categories)


def test_the_world_gives_rows_of_the_same_schema():
    work = {"world": "general", "languages": ["en"], "per_language": {"train": 3}, "seed": 1, "name": "general"}
    table = source.rows(work, None)
    assert table.schema == records.ROWS and len(table) == 3
