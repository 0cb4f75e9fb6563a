"""Command: print Table 1 and say where everything lies."""

import argparse
import csv
import math
from pathlib import Path

from rich.console import Console
from rich.table import Table

from workflow_scripts.base.errors import UserError
from workflow_scripts.config import reading


def rows(path: Path) -> dict[str, dict[tuple[str, str], str]]:
    """The cells of a table's CSV: {row: {(group, metric): text}}."""
    cells: dict[str, dict[tuple[str, str], str]] = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line in csv.DictReader(file):
            cells.setdefault(line["row"], {})[line["group"], line["metric"]] = _cell(line)
    return cells


def _cell(line: dict[str, str]) -> str:
    if not line["estimate"]:
        return "undefined"
    text = f"{float(line['estimate']):.1f}"
    if line["low"]:
        text += f" [{math.floor(float(line['low']))}, {math.ceil(float(line['high']))}]"  # outward, as the tables do
    if line["difference"]:
        text += f" ({float(line['difference']):+.1f})"
    return text + ("‡" if line["saturated"] in {"True", "true", "1", "yes"} else "")


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="show", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--table", default="table1")
    given = parser.parse_args(arguments)
    config = reading.read(given.config)
    folder = Path("results") / config["experiment"]
    path = folder / "tables" / f"{given.table}.csv"
    if not path.exists():
        raise UserError(f"{path}: no such file; run snakemake --cores all --configfile {given.config}")
    found = rows(path)
    columns = list(dict.fromkeys(column for cells in found.values() for column in cells))
    table = Table(
        title=config["tables"][given.table]["caption"],
        caption="95% interval; (difference from the reference, + is better)",
    )
    table.add_column("")
    for group, metric in columns:
        table.add_column(f"{group} {metric}".strip(), justify="right")
    for row, cells in found.items():
        table.add_row(row, *(cells.get(column, "") for column in columns))
    console = Console(width=140)
    console.print(table)
    console.print(
        f"tables: {folder}/tables   figures: {folder}/figures   models: {folder}/seed*/models", highlight=False
    )
