"""What a table or figure draws on, put together from its recipe and the files of scores; nothing else is read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa

from workflow_scripts.base import records
from workflow_scripts.paper.published import Published
from workflow_scripts.paper.tables import Study
from workflow_scripts.statistics.panel import Panel


def item(work: dict[str, Any]) -> dict[str, Any]:
    """An item as the config has it, its rows in their order."""
    rows = {row: cell if isinstance(cell, str) else dict(cell) for row, cell in work["rows"]}
    return {**work["spec"], "rows": rows}


def assemble(work: dict[str, Any], scores: list[Path]) -> Study:
    """The study of one item.

    Args:
        work: of the item's recipe.
        scores: results/<experiment>/seed<k>/scores/<judge>/<model>/<suite>.parquet, and
            results/<experiment>/labels/<judge>/<suite>.parquet; none for learning curves.

    Raises:
        UserError: a file is missing, damaged or of other columns.
    """
    parts: dict[str, dict[tuple[str, int], list[pa.Table]]] = {}
    labels: dict[str, list[pa.Table]] = {}
    trainings: dict[str, dict[str, Any]] = {}
    licences: dict[str, str] = {}
    for path in scores:
        rows = records.read(path, records.SCORES)
        licences |= records.licences(path)
        if path.parts[-3] == "labels":
            labels.setdefault(path.parts[-2], []).append(rows)
            continue
        seed, judge, model = int(path.parts[-5].removeprefix("seed")), path.parts[-3], path.parts[-2]
        parts.setdefault(judge, {}).setdefault((model, seed), []).append(rows)
        trainings.setdefault(model, records.lineage(path)["trainings"])
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
            "tokens": sum(cost["tokens"] for key, cost in trainings.get(model, {}).items() if key not in before),
        }
        for model, known in work["learned"].items()
    }
    return Study(
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
    )


def _judge(tables: Mapping[tuple[str, int], pa.Table]) -> str:
    names = {name for table in tables.values() for name in table["judge"].unique().to_pylist()}
    snapshots = {name for table in tables.values() for name in table["judge_model"].unique().to_pylist() if name}
    return f"{', '.join(sorted(names))} ({', '.join(sorted(snapshots)) or 'no snapshot named'})"
