"""An edit costs what it owes and nothing else: rows of the benchmark's table (bench/stale/edits)."""

import pytest

from bench.stale.bench import Bench
from bench.stale.edits import EDITS

CHOSEN = [
    "a mixture's fractions",
    "parts of a mixture reordered, and it is drawn again",
    "a prompt edited",
    "a method's density",
    "a model renamed",
    "a DPO child given to a temporary merge",
    "a judge prompt's text",
    "a docstring of generate/engine",
    "a method of training added",
    "how a training runs: accumulation",
    "a private function of trainings renamed, and locked as the same",
    "a method of training that is done otherwise, and locked as new",
    "a patch of transformers: keep all",
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
    assert len(ROWS) == len(EDITS) >= 100
