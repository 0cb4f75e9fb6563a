"""A dataset that mixmerge does not know is read by a format beside the user's config."""

import re
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from workflow_scripts.base import beside, records
from workflow_scripts.base.errors import UserError
from workflow_scripts.data import dataset

DOCS = Path(__file__).parents[3] / "docs/data.md"
CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: data/train-*
  - split: test
    path: data/test-*
---
"""
TURN = pa.struct([("content", pa.string()), ("role", pa.string())])
NO_ROBOTS = pa.schema(
    [("prompt", pa.string()), ("prompt_id", pa.string()), ("messages", pa.list_(TURN)), ("category", pa.string())]
)


def robot(number, *roles):
    turns = [{"content": f"{role} says {number}", "role": role} for role in roles]
    return {"prompt": turns[0]["content"], "prompt_id": f"{number:x}", "messages": turns, "category": "Chat"}


@pytest.fixture
def published(tmp_path):
    """A dataset in the layout of HuggingFaceH4/no_robots."""
    (tmp_path / "robots/data").mkdir(parents=True)
    (tmp_path / "robots/README.md").write_text(CARD)
    splits = {
        "train": [
            robot(1, "user", "assistant"),
            robot(2, "system", "user", "assistant"),
            robot(3, "user", "assistant", "user", "assistant"),
            robot(4, "user", "assistant"),
        ],
        "test": [robot(5, "user", "assistant")],
    }
    for split, rows in splits.items():
        table = pa.Table.from_pylist(rows, schema=NO_ROBOTS)
        pq.write_table(table, tmp_path / f"robots/data/{split}-00000-of-00001.parquet")
    return tmp_path / "robots"


@pytest.fixture
def formats(tmp_path, monkeypatch):
    monkeypatch.setenv(beside.FOLDERS, "")
    beside.use([tmp_path / "config.yaml"])
    (tmp_path / "formats").mkdir()
    return tmp_path / "formats"


def documented():
    """The format that docs/data.md shows."""
    (text,) = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.S)
    return text


def read(folder):
    return dataset.rows(
        {"dataset": str(folder), "revision": None, "format": "no_robots", "languages": ["en"], "splits": {}}
        | {"split_seed": 0, "limit": None, "seed": 0, "without": [], "name": "robots"}
    )


def test_the_format_of_the_docs_reads_the_dataset_that_it_is_for(published, formats):
    (formats / "no_robots.py").write_text(documented())
    table, counts = read(published)
    assert table.schema == records.ROWS
    rows = {row["source_prompt_id"]: row for row in table.to_pylist()}
    assert {key: row["split"] for key, row in rows.items()} == {"1": "train", "4": "train", "5": "test"}
    assert (rows["4"]["prompt"], rows["4"]["completion"]) == ("user says 4", "assistant says 4")
    assert rows["4"]["id"] == "4-en" and rows["4"]["categories"] == ["Chat"]
    assert counts == {"read": {"en": 5}, "left_out": {"multi-turn": 2}}


ROW = '{"key": raw["prompt_id"], "prompt": "a"'


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        ('raw["text"]', "/no_robots.py, line 4: KeyError: 'text'; fix it"),
        ("None", "/no_robots.py: `row` gave NoneType; give a table of our columns, or the reason"),
        ('""', "`row` gave an empty text; say why the row is left out"),
        (ROW + ', "completon": "b"}', "`row` gave a column 'completon'; ours are key, id, prompt, completion, "),
        (ROW + ', "language": "fr"}', "`row` gave a column 'language'; ours are "),
        ('{"prompt": "a"}', "`row` gave no `key`; give what tells source prompts apart"),
        ('{"key": 1}', "`row` gave no prompt; give the reason why such a row is left out"),
        ('{"key": 1, "prompt": " "}', "`row` gave no prompt; "),
        ('{"key": 1, "prompt": ["a"]}', "`row` gave no prompt; "),
        (ROW + ', "completion": 7}', "`row` gave 7 as completion; give text"),
        (ROW + ', "categories": "Chat"}', "`row` gave 'Chat' as categories; give a list of texts"),
        (ROW + ', "categories": [None]}', "`row` gave [None] as categories; give a list of texts"),
    ],
)
def test_what_a_format_gives_that_is_no_row_is_named_by_dataset_row_and_line(published, formats, gives, said):
    lines = documented().split("def row")[0].splitlines()[2:3] + ["", "def row(raw, language):", f"    return {gives}"]
    (formats / "no_robots.py").write_text("\n".join(lines) + "\n\n" + documented()[documented().index("FORMAT =") :])
    with pytest.raises(UserError) as raised:
        read(published)
    line = str(raised.value)
    assert line.startswith(f"{published} (train): row 1: {formats}") and "\n" not in line
    assert said in line, line


def test_a_key_may_be_zero_and_what_a_row_has_not_may_be_none(published, formats):
    row = 'lambda raw, language: {"key": 0, "prompt": "a", "completion": None, "categories": None}'
    (formats / "no_robots.py").write_text(documented().replace("row=row", f"row={row}"))
    table, counts = read(published)
    assert table["source_prompt_id"].to_pylist() == ["0"] and counts["left_out"] == {"duplicate": 4}
