"""A suite is the first rows of a split per language, whole or not at all."""

import pytest

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.data import suite
from workflow_scripts.miniature import world

SOURCE = world.rows("redteam", ["en", "fr"], {"validation": 4, "test": 6}, 3, "redteam")
WORK = {"source": "redteam", "split": "test", "per_language": 2, "languages": ["en", "fr"]}


def test_the_first_prompts_of_each_language_are_chosen_in_the_order_of_the_source():
    chosen = suite.choose(WORK, SOURCE)
    assert chosen.schema == records.ROWS
    assert set(chosen["split"].to_pylist()) == {"test"}
    assert chosen["language"].to_pylist().count("en") == chosen["language"].to_pylist().count("fr") == 2
    assert suite.choose({**WORK, "per_language": 1}, SOURCE)["id"].to_pylist() == [
        row["id"] for row in chosen.to_pylist() if row["source_prompt_id"] == chosen["source_prompt_id"][0].as_py()
    ], "one per language, and translations of each other"


def test_all_prompts_are_chosen_unless_fewer_are_asked_for():
    assert len(suite.choose({**WORK, "per_language": None}, SOURCE)) == 12
    assert len(suite.choose({**WORK, "per_language": None, "languages": ["fr"]}, SOURCE)) == 6


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"per_language": 7}, "has 6 test rows in en, 7 asked for"),
        ({"languages": ["en", "de"]}, "has 0 test rows in de, 2 asked for"),
        ({"split": "train", "per_language": None}, "has 0 train rows in en, at least 1 asked for"),
    ],
)
def test_too_few_prompts_are_an_error_that_names_source_split_and_language(change, message):
    with pytest.raises(UserError, match=message) as error:
        suite.choose({**WORK, **change}, SOURCE)
    assert "'redteam'" in str(error.value)
