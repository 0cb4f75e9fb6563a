"""One edit to the finished experiment, and the work that it owes."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.stale.run import Run

Patch = Callable[[Run], None]


@dataclass(frozen=True)
class Edit:
    """One edit and what it owes.

    Attributes:
        steps: of the optimizer.
        merges: models merged.
        completions: answers generated.
        questions: new questions at most; how many of them differ, the answers tell.
        alters: tables and figures that may change; others may be made again, but must come out identical.
        idle: nothing at all may run.
        runs: rules of which jobs must run, though they may find their work again.
        refused: words of the message with which the first run must refuse.
        consent: what lets the next run go on; without it the refusal is all.
        forgotten: the ledger is gone, or the judge is another, so every question is new.
    """

    name: str
    patch: Patch
    steps: int = 0
    merges: int = 0
    completions: int = 0
    questions: int = 0
    alters: tuple[str, ...] = ()
    idle: bool = False
    runs: tuple[str, ...] = ()
    refused: str = ""
    consent: Patch | None = None
    forgotten: bool = False


def together(*patches: Patch) -> Patch:
    """Several patches as one."""

    def patch(run: Run) -> None:
        for one in patches:
            one(run)

    return patch


def run(*targets: str) -> Patch:
    """Run at once, so that what follows is an edit of what this made."""

    def patch(experiment: Run) -> None:
        outcome = experiment.snakemake(*targets)
        assert outcome.status == 0, outcome.output

    return patch
