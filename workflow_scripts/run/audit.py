"""Command: what was asked of judges, where, and what it cost."""

import argparse
from pathlib import Path

from rich.console import Console
from rich.table import Table

from workflow_scripts.llm import ledger


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="audit", description=__doc__)
    parser.add_argument("--ledger", type=Path, default=Path("results/.store/judgments"))
    accounts = ledger.audit(parser.parse_args(arguments).ledger)
    table = Table(caption="in flight: sent, but the answer never came to the ledger (a kill); it may have been paid")
    columns = [
        "label",
        "model",
        "day",
        "requests",
        "batched",
        "refused",
        "filtered",
        "too_long",
        "error",
        "in_flight",
        "tokens_in",
        "tokens_out",
    ]
    for column in [*columns, "cost_usd"]:
        table.add_column(column.replace("_", " "), justify="left" if column in columns[:3] else "right")
    for account in accounts:
        unpriced = f" + {account['unpriced']} unpriced" if account["unpriced"] else ""
        table.add_row(*(str(account[column]) for column in columns), f"{account['cost_usd']:.4f}{unpriced}")
    Console(width=140).print(table if accounts else "Nothing was asked yet.")
