"""docs/models.md says of every family what works; it is filled by running (`make test-models`), which takes minutes."""

from pathlib import Path

from tests import families
from tests.models import checks, table

PAGE = table.PAGE.read_text(encoding="utf-8")


def test_every_family_stands_in_the_table_with_every_column() -> None:
    rows = [
        line.strip("| ").split(" | ") for line in PAGE.partition(table.BEGIN)[2].partition(table.END)[0].splitlines()
    ]
    cells = {row[0]: row[2:] for row in rows if row[0] in families.FAMILIES}
    assert list(cells) == list(families.FAMILIES) and len(cells) >= 20
    assert rows[0][2:] == list(checks.CHECKS)
    for name, outcomes in cells.items():
        assert len(outcomes) == len(checks.CHECKS), name
        assert all(cell == table.WORKS or cell.startswith("refused (") for cell in outcomes), name


def test_a_refusal_stands_once_without_what_differs_from_run_to_run() -> None:
    said = (
        "packing: rows see one another in a model of type opt (/tmp/tmpab12/model/opt) with eager; set packing: false"
    )
    other = said.replace("opt", "lfm2").replace("ab12", "cd34")
    rows = {
        "opt": {"load": table.WORKS, "packing": table._plain(said, "opt")},
        "lfm2": {"load": table.WORKS, "packing": table._plain(other, "lfm2")},
    }
    text = table.rendered(rows)
    assert text.count("rows see one another") == 1 and "/tmp" not in text and text.count("refused (1)") == 2
    assert Path(table.PAGE).name == "models.md"
