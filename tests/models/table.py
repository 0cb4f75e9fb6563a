"""Fills docs/models.md by running: every family through every check, on tiny random models with the true flags.

python -m tests.models.table            compares with the table that is there, and fails where a cell is another
python -m tests.models.table --write    writes it
python -m tests.models.table llama      prints the rows of some families
"""

import os
import re
import sys
import tempfile
import time
import traceback
import warnings
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tests import families
from tests.models.checks import CHECKS
from workflow_scripts.base.errors import UserError
from workflow_scripts.train.quiet import quieten

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
BEGIN, END = "<!-- table:begin -->\n", "<!-- table:end -->"
WORKS = "works"
LINKED = "https://huggingface.co/"


def row(name: str) -> dict[str, str]:
    """The outcome of each check of a family: that it works, or the refusal in words."""
    quieten()
    warnings.simplefilter("ignore")
    return {column: _outcome(name, column) for column in CHECKS}


def _outcome(name: str, column: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        model = families.make(name, Path(folder) / "model" / name)
        try:
            CHECKS[column](model, Path(folder) / "work")
        except UserError as error:
            return _plain(str(error), name)
        except Exception as error:
            traceback.print_exc()
            return f"FAILS ({type(error).__name__}: {' '.join(str(error).split())[:200]})"
    return WORKS


def _plain(said: str, name: str) -> str:
    """A refusal without what differs from run to run, so that families share it."""
    said = re.sub(r" \(/\S+\)|/\S+: ", lambda found: "", said)
    return said.replace(name, "this kind")


def rendered(rows: dict[str, dict[str, str]]) -> str:
    """The table, with each refusal once below it."""
    refusals = sorted({cell for cells in rows.values() for cell in cells.values() if cell != WORKS})
    head = ["family", "with the flags of", *CHECKS]
    lines = ["| " + " | ".join(head) + " |", "| :--- " * len(head) + "|"]
    for name, cells in rows.items():
        like = families.FAMILIES[name]["like"]
        shown = [cell if cell == WORKS else f"refused ({refusals.index(cell) + 1})" for cell in cells.values()]
        lines.append("| " + " | ".join([name, f"[{like}]({LINKED}{like})", *shown]) + " |")
    return "\n".join([*lines, "", *(f"{number}. {said}" for number, said in enumerate(refusals, 1)), ""])


def main(arguments: list[str]) -> int:
    """Run the families that are named, or all; the exit status."""
    named = [argument for argument in arguments if argument in families.FAMILIES]
    started = time.monotonic()
    with ProcessPoolExecutor(min(os.cpu_count() or 1, 2), get_context("fork")) as pool:
        chosen = named or list(families.FAMILIES)
        rows = dict(zip(chosen, pool.map(row, chosen), strict=True))
    text = rendered(rows)
    print(f"{text}\n{len(rows)} families, {time.monotonic() - started:.0f} s")
    if any(cell.startswith("FAILS") for cells in rows.values() for cell in cells.values()):
        return 1
    if named:
        return 0
    page = PAGE.read_text(encoding="utf-8")
    before, _, rest = page.partition(BEGIN)
    there, _, after = rest.partition(END)
    if "--write" in arguments:
        PAGE.write_text(f"{before}{BEGIN}{text}{END}{after}", encoding="utf-8")
    elif there != text:
        print(f"{PAGE} has another table; `python -m tests.models.table --write` if it should be this one")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
