"""What became of an edit: the work that it owes beside the work that was done, as a line of the printed table."""

from collections import Counter
from dataclasses import dataclass

from bench.stale.edit import Edit
from bench.stale.size import TENSORS

RENDERED = ("table", "figure")
UNITS = ("steps", "merges", "completions", "requests")
HEADER = (
    f"{'':<50} {'owed':^23} | {'done':^23} |\n"
    f"{'edit':<50} steps merge compl reque | steps merge compl reque | secs. rendered        verdict"
)


@dataclass(frozen=True)
class Verdict:
    """What became of an edit."""

    row: Edit
    owed: dict[str, float]
    done: dict[str, float]
    jobs: Counter[str]
    altered: list[str]
    misses: list[str]
    output: str
    seconds: float

    def line(self) -> str:
        """A line of the table."""
        again = sum(self.jobs[rule] for rule in RENDERED) - len({name.split(".")[0] for name in self.altered})
        said = "ok" if not self.misses else "; ".join(self.misses)
        excess = f"{again} items again" if again > 0 else ""
        work = f"{_numbers(self.owed)} | {_numbers(self.done)}"
        return f"{self.row.name:<50} {work} | {self.seconds:>5.0f} {excess:<15} {said}"


def owed(row: Edit, requests: int) -> dict[str, float]:
    """What a row owes, when so many of its questions are different and new."""
    return {"steps": row.steps, "merges": row.merges, "completions": row.completions, "requests": requests}


def done(work: Counter[str]) -> dict[str, float]:
    """What was counted, in the units of the table; a merge is all tensors of a model."""
    return {
        "steps": work["optimizer_steps"],
        "merges": work["merged_tensors"] / TENSORS,
        "completions": work["completions"],
        "requests": work["judge_requests"],
    }


def _numbers(work: dict[str, float]) -> str:
    return " ".join(f"{work.get(unit, float('nan')):>5g}" for unit in UNITS)
