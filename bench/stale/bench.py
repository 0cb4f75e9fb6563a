"""Applies edits: a copy of the code and of the finished experiment for each, a run, and the comparison."""

import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path

import yaml

from bench.stale import questions
from bench.stale.edit import Edit
from bench.stale.run import CODE, REPOSITORY, Config, Run
from bench.stale.size import ALL, PROMPTS_OF_REDTEAM, WHOLE
from bench.stale.verdict import UNITS, Verdict, done, owed
from workflow_scripts.miniature import world

FINISHED = Edit("nothing finished yet", lambda run: None, **WHOLE, alters=ALL, forgotten=True)
COLUMNS = ["id", "source_prompt_id", "language", "prompt", "completion", "rejected", "reference"]


class Bench:
    """A folder with a copy of the code and the finished experiment.

    Args:
        root: an empty folder, or one that an earlier bench left.
        experiment: a file of tests/configs.
    """

    def __init__(self, root: Path, experiment: str = "stale") -> None:
        self.root, self.code, self.finished = root, root / "code", root / "finished"
        self.config: Config = yaml.safe_load((REPOSITORY / f"tests/configs/{experiment}.yaml").read_text())
        root.mkdir(parents=True, exist_ok=True)
        if not self.code.exists():
            self.code.mkdir()
            for name in CODE:
                source = REPOSITORY / name
                copy = shutil.copytree if source.is_dir() else shutil.copy2
                copy(source, self.code / name)
            shutil.copytree(self.code, root / "pristine")

    def prepare(self, folder: Path) -> Run:
        """A folder where nothing has run yet."""
        rows = world.rows("redteam", ["en", "fr"], {"test": PROMPTS_OF_REDTEAM // 2}, 14, "redteam").to_pylist()
        (folder / "data").mkdir(parents=True)
        lines = [json.dumps({name: row[name] for name in COLUMNS}) + "\n" for row in rows]
        (folder / "data/redteam.jsonl").write_text("".join(lines))
        return Run(folder, self.code, json.loads(json.dumps(self.config)))

    def build(self) -> Verdict | None:
        """Finish the experiment, unless an earlier bench did."""
        if self.finished.exists():
            return None
        shutil.rmtree(self.root / "building", ignore_errors=True)
        run = self.prepare(self.root / "building")
        verdict = self.judge(FINISHED, run, {}, set())
        if verdict.misses:
            raise SystemExit(f"nothing to edit: {verdict.misses}\n{verdict.output}")
        run.folder.rename(self.finished)
        return verdict

    def fresh(self) -> Run:
        """A copy of the finished experiment, and the code as it was."""
        folder, pristine = self.root / "run", self.root / "pristine"
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.finished), str(folder)], check=True)
        for path in self.code.rglob("*"):
            if path.is_file() and not (pristine / path.relative_to(self.code)).exists() and path.suffix != ".pyc":
                path.unlink()  # a file that an edit added
        for path in pristine.rglob("*"):
            here = self.code / path.relative_to(pristine)
            if path.is_file() and not _is_same(path, here):
                shutil.copy2(path, here)
        return Run(folder, self.code, json.loads(json.dumps(self.config)))

    def apply(self, row: Edit) -> Verdict:
        """Apply one edit to a fresh copy, run, and compare."""
        run = self.fresh()
        rendered, asked = run.rendered(), questions.asked(run)
        row.patch(run)
        return self.judge(row, run, rendered, asked)

    def judge(self, row: Edit, run: Run, rendered: dict[str, bytes], asked: set[str]) -> Verdict:
        """Run, and compare what was done with what is owed, given what was printed and asked before."""
        started, misses = time.monotonic(), list[str]()
        due: dict[str, float] = owed(row, 0)
        altered: list[str] = []
        outcome = run.snakemake()
        if row.refused:
            if outcome.status == 0 or row.refused not in outcome.output or "Traceback" in outcome.output:
                misses.append(f"was not refused with {row.refused} named")
            if outcome.work:
                misses.append(f"worked before consent: {dict(outcome.work)}")
            if row.consent:
                row.consent(run)
                outcome = run.snakemake()
        if row.refused and not row.consent:
            pass
        elif outcome.status:
            misses.append(f"failed with status {outcome.status}")
        else:
            new = questions.asked(run) - (set() if row.forgotten else asked)
            if len(new) > row.questions:
                misses.append(f"{len(new)} new questions, by hand at most {row.questions}")
            due, did = owed(row, len(new)), done(outcome.work)
            misses += [f"{unit}: {due[unit]} owed, {did[unit]} done" for unit in UNITS if due[unit] != did[unit]]
            if row.idle and outcome.jobs - Counter(["all"]):
                misses.append(f"ran {dict(outcome.jobs)}")
            misses += [f"no {rule} ran" for rule in row.runs if not outcome.jobs[rule]]
            altered = [name for name, text in run.rendered().items() if rendered.get(name, text) != text]
            misses += [f"{name} came out otherwise" for name in altered if name.split(".")[0] not in row.alters]
        seconds = time.monotonic() - started
        return Verdict(row, due, done(outcome.work), outcome.jobs, altered, misses, outcome.output, seconds)


def _is_same(path: Path, other: Path) -> bool:
    if not other.exists():
        return False
    mine, theirs = path.stat(), other.stat()
    return (mine.st_mtime_ns, mine.st_size) == (theirs.st_mtime_ns, theirs.st_size)
