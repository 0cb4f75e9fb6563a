"""Prints what each edit owes and does, and what kills leave.

python -m bench.stale [NAME ...] [--only TEXT] [--part 1/3] [--kills N] [--seed N] [--folder DIR]
"""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from bench.stale.bench import Bench
from bench.stale.edits import EDITS
from bench.stale.kills import kills, plan
from bench.stale.verdict import HEADER


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="edits of these names; default: all")
    parser.add_argument("--only", default="", help="edits whose name holds this text")
    parser.add_argument("--part", default="1/1", help="only a part of the edits, as 2/3")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", type=Path, help="work here and leave it; a finished experiment there is taken")
    given = parser.parse_args()
    if unknown := sorted(set(given.names) - {row.name for row in EDITS}):
        parser.error(f"there is no edit of the name {', '.join(unknown)}")
    part, parts = map(int, given.part.split("/"))
    chosen = [row for row in EDITS if given.only in row.name and row.name in (given.names or [row.name])]
    rows = chosen[part - 1 :: parts]
    root = (given.folder or Path(tempfile.mkdtemp(prefix="mixmerge-stale-"))).resolve()
    bench = Bench(root)
    print(HEADER, flush=True)
    if built := bench.build():
        print(built.line(), flush=True)
    missed = 0
    for row in rows:
        verdict = bench.apply(row)
        missed += bool(verdict.misses)
        print(verdict.line(), flush=True)
        if verdict.misses:
            with (root / "misses.log").open("a") as log:
                log.write(f"=== {verdict.line()}\n{dict(verdict.jobs)}\n{verdict.output}\n")
    print(f"{len(rows)} edits, {len(rows) - missed} paid for exactly what they owe", flush=True)
    bench.fresh()  # the code as it was
    misses = kills(bench, plan(given.kills, given.seed))
    print(*misses or [f"{given.kills} kills, the same results as without"], sep="\n")
    if not given.folder:
        shutil.rmtree(root)
    sys.exit(bool(missed or misses))


if __name__ == "__main__":
    main()
