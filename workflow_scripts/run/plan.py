"""Command: what an experiment costs before it is run, from its config alone, and what of it is done already."""

import json
from dataclasses import asdict

from rich.console import Console
from rich.table import Table

from workflow_scripts.experiment import options
from workflow_scripts.experiment.artifacts import Artifacts
from workflow_scripts.forecast.quote import Quote, over_budget, quote


def show(found: Artifacts, costs: Quote) -> Table:
    """A quote as a table."""
    config = found.experiment.config
    lengths, machine = config.lengths, config.machine
    table = Table(
        title=f"{config.experiment}: what it costs",
        caption=f"assumed tokens: {lengths.prompt} of a prompt, {lengths.answer} of an answer, {lengths.verdict} of a "
        f"verdict (`lengths`); a GPU does {machine.training or '?'} tokens/s in training and "
        f"{machine.generation or '?'} in answers (`machine`); prices by litellm's table. "
        "Owed is an upper bound: what the store or the ledger has costs nothing",
    )
    for heading, justify in (("", "left"), ("in all", "right"), ("done", "right"), ("owed", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, row in costs.rows.items():
        spec = ",.2f" if name == "usd" else ",.1f" if name == "gpu_hours" else ",.0f"
        table.add_row(row.what, *(format(value + 0.0, spec) for value in (row.total, row.total - row.owed, row.owed)))
    table.add_section()
    table.add_row("US dollars spent, by the ledger", f"{costs.spent_usd:,.2f}")
    table.add_row("disk kept, GB", f"{costs.kept_bytes / 1e9:,.1f}")
    table.add_row("disk at most, GB", f"{costs.peak_bytes / 1e9:,.1f}")
    hours = "not known" if costs.wall_hours is None else f"{costs.wall_hours:,.1f}"
    table.add_row(f"hours from now, with {costs.gpus} GPUs", "", "", hours)
    return table


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = options.parser("plan", __doc__)
    parser.add_argument("--gpus", type=int, help="that work at once; default: those of one node")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    found = options.read(given.config)
    costs = quote(found, given.gpus)
    if given.json:
        print(json.dumps(asdict(costs), indent=1))
        return
    console = Console(width=110, highlight=False)
    console.print(show(found, costs))
    for line in [*costs.notes, *over_budget(found, costs)]:
        console.print(line, soft_wrap=True, markup=False)
