"""Command: what training and evaluation have in common: source prompts, and runs of words. A breach stops the run.

Ids are what bookkeeping promises; runs of words are what it cannot promise, as where two datasets took one prompt from
the same place.  Two rows share a source prompt if their sources are of one origin (a translation or synthesis is of its
source's) and their `source_prompt_id` is the same, in whatever languages.

Texts are compared in lower case, without punctuation.  The share of a prompt is that of its different runs of `words`
words which stand in one training row, in its prompt or in either answer.  A prompt that is shorter is compared as a
whole, with whole prompts of training: what is a phrase by itself may stand in any answer.  Text that is written without
spaces between words is compared by its characters.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import Job
from workflow_scripts.base.text import UNITS, is_unspaced
from workflow_scripts.store.outputs import write_rows

SHOWN = 3  # ids in an error
CHUNK = 2000  # training rows that are hashed at a time
BASE = np.uint64(0x9E3779B97F4A7C15)  # odd, so that powers of it keep all bits
Hashes = NDArray[np.uint64]


def find(work: dict[str, Any], mixtures: Mapping[str, pa.Table], suites: Mapping[str, pa.Table]) -> pa.Table:
    """The prompts of suites that have something in common with a mixture.

    Args:
        work: `words`, `characters`, `share` as in config.data.Overlap; `origins`, by source.
        mixtures: rows of schema records.MIXTURE, by name.
        suites: rows of schema records.ROWS, by name.

    Returns:
        Schema records.OVERLAP: for each suite, prompt, mixture and kind the training row that shares most.
    """
    prompts = [{**row, "suite": suite} for suite, table in suites.items() for row in table.to_pylist()]
    learned = _learned(mixtures)
    found = [*_by_source_prompt(prompts, learned, work["origins"]), *_by_text(prompts, learned, work)]
    best: dict[tuple[str, ...], dict[str, Any]] = {}
    for hit in found:
        at = (hit["suite"], hit["prompt_id"], hit["mixture"], hit["kind"])
        if at not in best or (hit["share"], hit["train_id"]) > (best[at]["share"], best[at]["train_id"]):
            best[at] = hit
    rows = [
        {**best[at], "breach": best[at]["kind"] == "source_prompt" or best[at]["share"] >= work["share"]}
        for at in sorted(best)
    ]
    return pa.Table.from_pylist(rows, schema=records.OVERLAP)


@dataclass
class Learned:
    """A training row, once for all mixtures that have it."""

    row: dict[str, Any]
    mixtures: list[str] = field(default_factory=list)


def _learned(mixtures: Mapping[str, pa.Table]) -> list[Learned]:
    known: dict[tuple[str, str], Learned] = {}
    for name, table in mixtures.items():
        for row in table.to_pylist():
            known.setdefault((row["source"], row["id"]), Learned(row)).mixtures.append(name)
    return list(known.values())


def _hits(prompt: dict[str, Any], learned: Learned, kind: str, share: float) -> Iterator[dict[str, Any]]:
    for mixture in learned.mixtures:
        yield {
            "suite": prompt["suite"],
            "prompt_id": prompt["id"],
            "source_prompt_id": prompt["source_prompt_id"],
            "language": prompt["language"],
            "mixture": mixture,
            "train_source": learned.row["source"],
            "train_id": learned.row["id"],
            "kind": kind,
            "share": share,
        }


def _by_source_prompt(
    prompts: list[dict[str, Any]], learned: list[Learned], origins: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    held_out: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for prompt in prompts:
        held_out.setdefault((origins[prompt["source"]], prompt["source_prompt_id"]), []).append(prompt)
    for one in learned:
        for prompt in held_out.get((origins[one.row["source"]], one.row["source_prompt_id"]), []):
            yield from _hits(prompt, one, "source_prompt", 1.0)


def _by_text(prompts: list[dict[str, Any]], learned: list[Learned], work: dict[str, Any]) -> Iterator[dict[str, Any]]:
    by_kind: dict[str, list[tuple[int, list[str]]]] = {"words": [], "characters": []}
    whole: dict[str, list[int]] = {}
    for number, prompt in enumerate(prompts):
        kind = "characters" if is_unspaced(prompt["prompt"]) else "words"
        units = UNITS[kind](prompt["prompt"])
        if len(units) >= work[kind]:
            by_kind[kind].append((number, units))
        elif units:
            whole.setdefault(" ".join(units), []).append(number)
    if whole:
        for one in learned:
            kind = "characters" if is_unspaced(one.row["prompt"]) else "words"
            for number in whole.get(" ".join(UNITS[kind](one.row["prompt"])), []):
                yield from _hits(prompts[number], one, "whole", 1.0)
    for kind, known in by_kind.items():
        if known:
            runs = Runs(known, work[kind])
            for at in range(0, len(learned), CHUNK):
                some = learned[at : at + CHUNK]
                for number, row, share in runs.shares([_texts(one.row) for one in some], kind):
                    yield from _hits(prompts[number], some[row], kind, share)


def _texts(row: dict[str, Any]) -> list[str]:
    return [row[field] for field in ("prompt", "completion", "rejected") if row[field]]


class Runs:
    """The runs of words (or characters) of some prompts, to be found in other texts.

    Args:
        prompts: number and units of each, at least `length` units.
        length: of a run.
    """

    def __init__(self, prompts: list[tuple[int, list[str]]], length: int) -> None:
        self.length = length
        # What stands in no prompt is 0, and so is no run with it: most of training is told apart by that alone.
        self.codes = {unit: _code(unit) for _, units in prompts for unit in units}
        runs = [np.unique(self._hashes([self.codes[unit] for unit in units])[0]) for _, units in prompts]
        self.numbers = [number for number, _ in prompts]
        self.sizes = [len(run) for run in runs]
        every = np.concatenate(runs)
        owners = np.repeat(np.arange(len(runs)), self.sizes)
        order = np.argsort(every, kind="stable")
        self.owners = owners[order]
        self.known, self.first = np.unique(every[order], return_index=True)

    def shares(self, rows: list[list[str]], kind: str) -> Iterator[tuple[int, int, float]]:
        """Prompt, row and share of the prompt's runs in it, for all that have a run in common.

        Args:
            rows: the texts of each row; a run does not go from one text to the next.
            kind: key of `UNITS`.
        """
        codes: list[int] = []
        ends: list[int] = []
        for texts in rows:
            for text in texts:
                codes += [self.codes.get(unit, 0) for unit in UNITS[kind](text)]
                codes.append(0)
            ends.append(len(codes))
        hashes, starts = self._hashes(codes)
        at = np.minimum(np.searchsorted(self.known, hashes), len(self.known) - 1)
        is_hit = self.known[at] == hashes
        found, owners = at[is_hit], np.searchsorted(np.array(ends), starts[is_hit], side="right")
        bounds = [*self.first, len(self.owners)]
        for row in np.unique(owners):
            runs = np.unique(found[owners == row])
            counts = Counter(int(owner) for run in runs for owner in self.owners[bounds[run] : bounds[run + 1]])
            for owner, count in counts.items():
                yield self.numbers[owner], int(row), count / self.sizes[owner]

    def _hashes(self, codes: list[int]) -> tuple[Hashes, NDArray[np.int64]]:
        """A hash of 64 bits of every run without a 0, and where it starts."""
        array = np.array(codes, dtype=np.uint64)
        windows = len(array) - self.length + 1
        if windows <= 0:
            return np.empty(0, np.uint64), np.empty(0, np.int64)
        zeros = np.concatenate([[0], np.cumsum(array == 0)])
        starts = np.flatnonzero(zeros[self.length :] == zeros[:windows])
        hashes = np.zeros(len(starts), np.uint64)
        for offset in range(self.length):  # modulo 2 ** 64
            hashes = hashes * BASE + array[starts + offset]
        return hashes, starts


def _code(unit: str) -> int:
    return int.from_bytes(hashlib.blake2b(unit.encode(), digest_size=8).digest()) | 1


def complaint(found: pa.Table, place: Path) -> str | None:
    """What is wrong and what to do, in one line; None if there is no breach."""
    pairs: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in found.to_pylist():
        if row["breach"]:
            pairs.setdefault((row["suite"], row["mixture"]), []).append(row)
    if not pairs:
        return None
    (suite, mixture), rows = next(iter(pairs.items()))
    ids = list(dict.fromkeys(row["prompt_id"] for row in rows))
    kinds = Counter(row["kind"] for row in rows)
    how = ", ".join(f"{count} by {kind.replace('_', ' ')}" for kind, count in sorted(kinds.items()))
    more = f" (and {len(pairs) - 1} more such pairs)" if len(pairs) > 1 else ""
    return (
        f"suite '{suite}' and mixture '{mixture}'{more} have {len(ids)} prompts in common ({how}; "
        f"{', '.join(ids[:SHOWN])}{', ...' if len(ids) > SHOWN else ''}); split their sources alike, leave prompts out "
        f"by `without`, or change `overlap`; all of them are in {place}"
    )


def make(job: Job) -> None:
    """Make what a job is about."""
    mixtures, suites = job.named("mixtures"), job.named("suites")
    found = find(job.settings, _read(mixtures, records.MIXTURE), _read(suites, records.ROWS))
    lineage = {
        "mixtures": {name: records.lineage(path)["rows"] for name, path in mixtures.items()},
        "suites": {name: records.lineage(path)["rows"] for name, path in suites.items()},
    }
    # Snakemake deletes what a failed job was to make, so what stops the run is put beside it.
    breach = job.output("found").with_name("overlap-breach.parquet")
    if message := complaint(found, breach):
        write_rows(job, breach, found, records.OVERLAP, **lineage)
        raise UserError(message)
    breach.unlink(missing_ok=True)
    write_rows(job, job.output("found"), found, records.OVERLAP, **lineage)


def _read(paths: Mapping[str, Path], schema: pa.Schema) -> dict[str, pa.Table]:
    return {name: records.read(path, schema) for name, path in paths.items()}
