"""Command: a figure, from scores (or curves) and what merges reported: SVG, PNG, and the numbers it draws as CSV."""

import pyarrow as pa

from workflow_scripts.base import hashing, records
from workflow_scripts.base.job import Job
from workflow_scripts.paper import scores
from workflow_scripts.process import command
from workflow_scripts.store.outputs import write_bytes


def make(job: Job) -> None:
    """Make what a job is about."""
    figures, settings = command.heavy("paper.drawing"), job.settings
    curves: dict[tuple[str, int], pa.Table] = {
        (curve["model"], curve["seed"]): records.read(path, records.CURVE)
        for curve, path in zip(job.recipe.inputs["curves"], job.files["curves"], strict=True)
    }
    drawn = figures.draw(settings["item"], scores.item(settings), scores.of(job), curves)
    note = f"<!-- recipe {hashing.of_json(job.recipe._asdict())} -->\n".encode()
    for form, content in {"svg": drawn.svg + note, "png": drawn.png, "csv": drawn.csv.encode()}.items():
        write_bytes(job.output(form), content)
