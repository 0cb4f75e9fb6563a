"""All scores that a table or figure reads, with what is known about their models; nothing else is read."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.base.job import Job, MadeBy, together
from workflow_scripts.models import manifest
from workflow_scripts.paper.published import Published
from workflow_scripts.statistics.panel import Panel

Facts = Mapping[str, Any]  # of a manifest


@dataclass(frozen=True)
class Scores:
    """Everything that a table or figure may say something about.

    Attributes:
        panel: scores of one judge, with the baseline.
        languages: codes, in the order of the config.
        judge: the judge and its snapshot, in words for a caption.
        training: by model, what its whole ancestry without the base learned from (rows, examples, tokens, steps).
        matched: by (model, reference), what the two trainings have the same of; None or absent: nothing; `unknown`.
        contrasts: by name, `mix`, `merge` and `matched` (rows, examples or none).
        published: a paper's values, only if the experiment says that it reproduces it.
        alpha: what an adjusted p must be below to be called a difference.
        matters: by measure, the difference in points that a cell must be able to show.
        panels: by judge, where an item holds several side by side.
        labels: by judge, its scores of labelled answers (records.SCORES).
        faults: by judge, what it is declared to get wrong (fields of config.Faults).
        licences: of all data and models behind the scores that declare one, by name.
        made_by: by unit of code, the versions that made what the scores rest on.
        facts: by merge that is shown, what its manifest of each seed says that it reported; None where there is none.
    """

    panel: Panel
    languages: Sequence[str]
    judge: str
    training: Mapping[str, Mapping[str, int | None] | None] = field(default_factory=dict)
    matched: Mapping[tuple[str, str], str | None] = field(default_factory=dict)
    contrasts: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    published: Published | None = None
    alpha: float = 0.05
    matters: Mapping[str, float] = field(default_factory=dict)
    panels: Mapping[str, Panel] = field(default_factory=dict)
    labels: Mapping[str, pa.Table] = field(default_factory=dict)
    faults: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    licences: Mapping[str, str] = field(default_factory=dict)
    made_by: Mapping[str, Sequence[str]] = field(default_factory=dict)
    facts: Mapping[str, Sequence[Facts | None]] = field(default_factory=dict)


def item(work: dict[str, Any]) -> dict[str, Any]:
    """An item as the config has it, its rows in their order."""
    rows = {row: cell if isinstance(cell, str) else dict(cell) for row, cell in work["rows"]}
    return {**work["spec"], "rows": rows}


def of(job: Job) -> Scores:
    """What the item of a job is made from, as its files say; results may have come without manifests.

    Raises:
        UserError: see `read`; or a manifest is damaged or of another schema.
    """
    about, files = job.recipe.inputs, job.files
    facts: dict[str, list[Facts | None]] = {}
    for merge, path in zip(about.get("merges", []), files.get("merges", []), strict=True):
        reported = manifest.read(path.parent)["facts"] if path.exists() else None
        facts.setdefault(merge["model"], []).append(reported)
    return read(job.settings, zip(about["scores"], files["scores"], strict=True), facts)


def read(
    work: dict[str, Any],
    files: Iterable[tuple[Mapping[str, Any], Path]],
    facts: Mapping[str, Sequence[Facts | None]] | None = None,
) -> Scores:
    """The scores of one item.

    Args:
        work: of the item's recipe.
        files: of scores, each with its seed, judge and model; without a model they are of labelled answers.
        facts: see `Scores`.

    Raises:
        UserError: a file is missing, damaged or of other columns.
    """
    parts: dict[str, dict[tuple[str, int], list[pa.Table]]] = {}
    labels: dict[str, list[pa.Table]] = {}
    trainings: dict[str, dict[str, Any]] = {}
    licences: dict[str, str] = {}
    made: list[MadeBy] = []
    for about, path in files:
        rows, lineage = records.read(path, records.SCORES), records.lineage(path)
        licences |= records.licences(path)
        made.append(lineage["made_by"])
        if "model" not in about:
            labels.setdefault(about["judge"], []).append(rows)
            continue
        parts.setdefault(about["judge"], {}).setdefault((about["model"], int(about["seed"])), []).append(rows)
        trainings.setdefault(about["model"], lineage["trainings"])
    bootstrap = work["bootstrap"]
    panels = {
        judge: Panel(
            {key: pa.concat_tables(found) for key, found in by_model.items()},
            work["baseline"],
            draws=bootstrap["resamples"],
            seed=bootstrap["seed"],
        )
        for judge, by_model in parts.items()
    }
    panel = panels.get(work["judge"], Panel({}, work["baseline"]))
    before = set(trainings.get(work["baseline"], {}))
    learned = {
        model: {
            **known,
            "tokens": None
            if (stated := known.get("tokens", 0)) is None
            else stated + sum(cost["tokens"] for key, cost in trainings.get(model, {}).items() if key not in before),
        }
        for model, known in work["learned"].items()
    }
    return Scores(
        panel=panel,
        languages=work["languages"],
        judge=_judge(panel.scores),
        training=learned,
        matched={(one, other): (on or [None])[0] for one, other, on in work["matched"]},
        contrasts=dict(work["contrasts"]),
        published=Published.model_validate(work["published"]) if work["published"] else None,
        alpha=work["alpha"],
        matters=work["matters"],
        panels=panels,
        labels={judge: pa.concat_tables(found) for judge, found in labels.items()},
        faults=work["faults"],
        licences=licences,
        made_by=together(*made),
        facts=facts or {},
    )


def _judge(tables: Mapping[tuple[str, int], pa.Table]) -> str:
    names = {name for table in tables.values() for name in table["judge"].unique().to_pylist()}
    snapshots = {name for table in tables.values() for name in table["judge_model"].unique().to_pylist() if name}
    return f"{', '.join(sorted(names))} ({', '.join(sorted(snapshots)) or 'no snapshot named'})"
