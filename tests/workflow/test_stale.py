"""An edit costs what it owes and nothing else: fifteen rows of the benchmark's table (bench/stale.py)."""

import pytest

from bench.stale import EDITS, Bench

CHOSEN = [
    "a mixture's fractions",
    "languages reordered",
    "a language added to a mixture",
    "a prompt edited",
    "a prompt removed",
    "a method's density",
    "a merge's parents swapped",
    "a model renamed",
    "a DPO child given to a temporary merge",
    "a judge prompt's text",
    "a figure's colour",
    "a docstring of generate/engine",
    "copied with new times",
    "answers deleted, in the store too",
    "a model's weights corrupted",
]
ROWS = {row.name: row for row in EDITS}


@pytest.mark.parametrize("name", CHOSEN)
def test_an_edit_does_the_work_it_owes(bench: Bench, name: str) -> None:
    verdict = bench.apply(ROWS[name])
    assert not verdict.misses, f"{verdict.misses}\n{verdict.output}"


def test_no_two_edits_have_one_name_and_there_are_enough() -> None:
    assert len(ROWS) == len(EDITS) >= 40
