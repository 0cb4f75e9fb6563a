"""Command: say of code that changed whether its results did, and lock it (see `experiment.code_lock`).

`make lock-code NEW="train:dpo"`: its results changed; what was made by the code that is here stays valid.
`make lock-code SAME="train:*"`: its results did not; both codes run a small fixture here, and must give the same.
What changed and is in neither is refused by name.  Without either, it says what changed.
"""

import argparse
from fnmatch import fnmatchcase

from workflow_scripts.base.errors import UserError
from workflow_scripts.experiment import code_lock
from workflow_scripts.experiment.code_lock import LOCK, Locked
from workflow_scripts.run import keep, same_code
from workflow_scripts.store import finished_work


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="lock_code", description=__doc__)
    parser.add_argument("--new", nargs="*", default=[], metavar="UNIT", help="units whose results changed")
    parser.add_argument("--same", nargs="*", default=[], metavar="UNIT", help="units whose results did not change")
    parser.add_argument("--check", action="store_true", help="only say whether the lock is current")
    parser.add_argument("--since", metavar="COMMIT", help="compare again all that was locked as the same since then")
    given = parser.parse_args(arguments)
    if given.since:
        same_code.compare_since(given.since)
        return
    lock = {} if given.new == ["*"] and not LOCK.exists() else code_lock.read()
    keep.check_patterns(given.new, "NEW", lock)  # among them what is no longer there, and goes
    keep.check_patterns(given.same, "SAME", lock)
    gone = sorted(lock.keys() - code_lock.units().keys())
    changed = code_lock.unlocked(lock)
    if given.check or not (given.new or given.same):
        if changed or gone:
            raise UserError(f"code.lock: is not current for {', '.join([*changed, *gone])}; {WAYS}")
        print("code.lock is current.")
        return
    new = [unit for unit in changed if _fits(unit, given.new)]
    same = [unit for unit in changed if unit not in new and _fits(unit, given.same)]
    if left := [unit for unit in changed if unit not in new and unit not in same]:
        raise UserError(f"code.lock: {', '.join(left)} changed as well, and is in neither NEW nor SAME; {WAYS}")
    if unknown := [unit for unit in same if unit not in lock]:
        raise UserError(f"SAME: {', '.join(unknown)} is not in code.lock yet, so there is no older code; use NEW")
    untested = same_code.compare(same, lock)
    locked = {unit: entry for unit, entry in lock.items() if unit in code_lock.units()}
    locked |= {unit: Locked(code_lock.now(unit), code_lock.now(unit)) for unit in new}
    locked |= {unit: Locked(lock[unit].results, code_lock.now(unit), untested.get(unit, "")) for unit in same}
    finished_work.write_text(LOCK, code_lock.text(locked))
    for title, units in (("new results", new), ("same results", same), ("no longer there", gone)):
        print(f"{title}: {', '.join(units) or 'none'}")


WAYS = 'make lock-code NEW="..." if its results changed, SAME="..." if they did not'


def _fits(unit: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(unit, pattern) for pattern in patterns)
