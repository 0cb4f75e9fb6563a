from pathlib import Path

import pytest

from tests.unit.train.tiny import ROWS, table, train, words
from tests.unit.train.tiny import parent as parent  # the fixture
from workflow_scripts.base.errors import UserError


@pytest.mark.parametrize(
    ("prompt", "completion", "rejected", "changes", "says"),
    [
        (words(0, 50), "w1", "w2", {}, "row r0.*max_length 40"),
        ("w1", None, "w2", {}, "row r0.*completion"),
        ("w1", "w2", None, {"method": "dpo"}, "row r0.*rejected"),
        (words(0, 50), "w2", "w3", {"method": "dpo"}, "row r0.*max_length 40"),
        ("w1", "w2", "w3", {"accumulation": 3}, "batch_size 4.*accumulation 3"),
        ("w1", "w2", "w3", {"scheduler": "downhill"}, "downhill"),
        ("w1", "w2", "w3", {"optimizer": "guess"}, "guess"),
        ("w1", "w2", "w3", {"optimizer": "paged_adamw_8bit"}, "paged_adamw_8bit needs bitsandbytes"),
        ("w1", "w2", "w3", {"accumulation": 4, "processes": 2}, "processes: 2, but 1 started"),
    ],
)
def test_rows_and_settings_that_cannot_be_learnt_from_are_named(
    parent: Path, tmp_path: Path, prompt: str, completion: str, rejected: str, changes: dict, says: str
) -> None:
    with pytest.raises(UserError, match=says):
        train(tmp_path, parent, rows=table([prompt], [completion], [rejected]), **changes)


def test_an_empty_mixture_is_a_user_error(parent: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no rows"):
        train(tmp_path, parent, rows=ROWS.slice(0, 0))


def test_answers_cut_by_max_length_are_counted(parent: Path, tmp_path: Path) -> None:
    rows = table(["w1", "w2"], [words(0, 60), "w3"], [None, None])
    result, _ = train(tmp_path, parent, rows=rows)
    assert result["truncated"] == 1
    assert result["cost"]["tokens"] == 40 + 9
