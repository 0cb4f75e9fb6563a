"""kill -9 at any moment, then the same command again: the same results; and never two runs at once."""

import time

from bench.stale.bench import Bench
from bench.stale.kills import kills


def test_killed_runs_end_where_an_uninterrupted_one_does(bench: Bench) -> None:
    planned = [("train", 0.3), ("snakemake", 0.0), ("generate", 0.1), ("all", 2.0)]
    assert kills(bench, planned) == []


def test_a_second_live_run_is_refused(bench: Bench) -> None:
    run = bench.prepare(bench.root / "twice")
    first = run.start(bench.root / "first.meter")
    try:
        while not (run.folder / "results/.lock").exists() and first.poll() is None:
            time.sleep(0.05)
        second = run.snakemake()
    finally:
        first.kill()
        first.communicate()
    assert second.status != 0
    assert "another run is at work" in second.output
    assert "Traceback" not in second.output
    assert not second.work
