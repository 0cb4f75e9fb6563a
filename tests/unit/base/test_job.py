"""A job is a file by its content: what is written down is what is read, and what is not whole is one line."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base import hashing, job
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job, Recipe, made_by, together

NAMES = st.text("abcdefgh_", min_size=1, max_size=8)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
VALUES = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4))
SECTIONS = st.dictionaries(NAMES, VALUES, max_size=5)
PATHS = st.lists(st.text("abc é'\"", min_size=1).map(lambda name: Path("results") / name), max_size=3)
FILES = st.dictionaries(NAMES, PATHS, max_size=3)
RECIPES = st.builds(Recipe, NAMES, SECTIONS, SECTIONS, st.dictionaries(NAMES, st.text(max_size=12), max_size=3))
JOBS = st.builds(Job, RECIPES, SECTIONS, SECTIONS, FILES, FILES, st.just(Path("results/a.execution.json")))
ONE = Job(
    Recipe("mixture", {"seed": 1}, {"sources": ["b", "a"]}, {"mixture": "c" * 12}),
    {"seed": 1, "languages": None},
    {"threads": 2},
    {"sources": [Path("results/b.parquet"), Path("results/a.parquet")]},
    {"rows": [Path("results/mix.parquet")]},
    Path("results/mix.execution.json"),
)


@given(JOBS)
def test_what_is_written_down_is_what_is_read(one):
    assert one.text() == hashing.canonical(json.loads(one.text()))
    again = _read(one.text())
    assert again == one and again.path == one.path
    assert one.path.parent == job.JOBS and re.fullmatch(r"[0-9a-f]{20}\.json", one.path.name)


def _read(text):
    class Written:
        def read_text(self, encoding):
            return text

    return job.read(Written())


@given(JOBS, JOBS)
def test_jobs_that_differ_are_files_of_their_own(one, other):
    assert (one.path == other.path) == (one.text() == other.text())


@given(JOBS)
def test_the_order_of_keys_makes_no_other_job(one):
    turned = Job(one.recipe, dict(reversed(one.settings.items())), one.execution, one.files, one.outputs, one.record)
    assert turned.path == one.path


def test_files_are_found_by_their_roles():
    assert ONE.output("rows") == Path("results/mix.parquet")
    assert list(ONE.named("sources").items()) == [("b", Path("results/b.parquet")), ("a", Path("results/a.parquet"))]
    with pytest.raises(ValueError, match="too many values"):
        ONE.file("sources")


def test_what_a_key_of_the_store_is_made_from_has_no_names_and_no_execution():
    assert ONE.work == {"settings": {"seed": 1}, "code": {"mixture": "c" * 12}}


def test_a_job_that_is_not_there_is_one_line(tmp_path):
    with pytest.raises(UserError, match=r"none\.json: no such job; run snakemake, which writes it down$"):
        job.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text",
    ["", "half {", "[]", "null", "{}", '{"recipe": {}}', '{"recipe": [], "files": [], "outputs": []}',
     json.dumps({**json.loads(ONE.text()), "recipe": {"stage": "mixture"}}),
     json.dumps({**json.loads(ONE.text()), "files": {"sources": 1}}),
     json.dumps({**json.loads(ONE.text()), "record": None}), b"\xff"],
)  # fmt: skip
def test_a_job_that_is_not_whole_is_one_line(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match="is not a whole job; delete it and run snakemake") as refused:
        job.read(path)
    assert str(refused.value).startswith(str(path)) and "\n" not in str(refused.value)


def test_a_record_of_how_something_was_made_is_empty_where_nobody_knows(tmp_path):
    path = tmp_path / "a.execution.json"
    assert job.read_record(path) == {}
    for text in ("", "half {", "[1]", "5"):
        path.write_text(text)
        assert job.read_record(path) == {}
    path.write_text('{"seconds": 2.5}')
    assert job.read_record(path) == {"seconds": 2.5}


def test_what_something_rests_on_was_made_by_versions_of_each_unit():
    """By the unit of its stage, whatever the order of packages and units in a job file."""
    trained = Recipe("train", {}, {}, {"accelerate": "1.0", "train:sft": "a" * 12, "trl": "2.0"})
    again = trained._replace(code={"accelerate": "1.0", "train:sft": "a" * 12, "trl": "3.0"})
    merged = Recipe("merge", {}, {}, {"merge": "b" * 12})
    first, second = made_by(trained), made_by(again)
    assert first == {"train:sft": [f"accelerate 1.0, train:sft {'a' * 12}, trl 2.0"]}
    found = made_by(merged, first, second, first)
    assert found.keys() == {"merge", "train:sft"} and len(found["train:sft"]) == 2
    assert found == together(made_by(merged), second, first)
    assert made_by(trained._replace(code=dict(reversed(trained.code.items())))).keys() == {"train:sft"}
