"""Kill -9 of any process at random moments, then the same command again."""

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

from bench.stale import questions
from bench.stale.bench import Bench
from bench.stale.run import Run
from workflow_scripts.base import work_counter

STAGES = ("train", "merge", "generate", "judge")
CONCURRENCY = 16  # the judge's, by default
VICTIMS = ("snakemake", *STAGES, "job", "server", "all")  # a job is what the fork server forked


def processes(run: Run) -> dict[int, str]:
    """Our processes by id, with what each is: those that work in the folder, and the fork server of this code."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            folder = os.readlink(place / "cwd")
        except OSError:
            continue
        is_server = "workflow_scripts.process.fork_server" in words
        if folder == str(run.folder):
            stage = next((stage for stage in STAGES if stage in words), "")
            found[int(place.name)] = "job" if is_server else stage or ("snakemake" if "snakemake" in words else "other")
        elif is_server and folder == str(run.code):
            found[int(place.name)] = "server"
    return found


def kill(run: Run, victim: str, wait: float, process: "subprocess.Popen[str]") -> list[str]:
    """Kill -9 the victim, `wait` seconds after it has been seen; what was killed, nothing if it never came."""
    while process.poll() is None:
        seen = processes(run)
        if victim == "all" or victim in seen.values():
            time.sleep(wait)
            chosen = {pid: kind for pid, kind in processes(run).items() if victim in (kind, "all")}
            if victim in (*STAGES, "job"):  # one of them, not all
                chosen = dict(list(chosen.items())[:1])
            for pid in chosen:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue
            if chosen:
                return sorted(chosen.values())
        time.sleep(0.02)
    return []


def plan(amount: int, seed: int) -> list[tuple[str, float]]:
    """Random victims at random moments: seconds after the victim was seen, where a job lives for less than one."""
    draw = random.Random(seed)
    return [
        (victim := draw.choice(VICTIMS), draw.uniform(0, 20 if victim in ("snakemake", "server", "all") else 0.7))
        for _ in range(amount)
    ]


def kills(bench: Bench, planned: list[tuple[str, float]]) -> list[str]:
    """Kill as planned, each time give the same command again, and compare what comes out; the misses."""
    reference = Run(bench.finished, bench.code, bench.config)
    misses: list[str] = []
    left = list(planned)
    while left:
        shutil.rmtree(bench.root / "killed", ignore_errors=True)
        run = bench.prepare(bench.root / "killed")
        count = bench.root / "killed.meter"
        count.unlink(missing_ok=True)
        twice = 0  # requests that may have been sent twice
        while True:
            process = run.start(count)
            killed = kill(run, *left[0], process) if left else []
            output = process.communicate()[0]
            if killed:
                victim, wait = left.pop(0)
                twice += CONCURRENCY * (victim in {"judge", "job", "server", "all"})
                print(f"  {victim:<10} {wait:4.1f} s after it was seen: {len(killed)} killed", flush=True)
            elif process.returncode:
                return [*misses, f"the same command failed with status {process.returncode}:\n{output}"]
            else:
                break
        done, distinct = work_counter.totals(count)["judge_requests"], len(questions.asked(run))
        print(f"  finished; {done - distinct} requests doubled", flush=True)
        if not distinct <= done <= distinct + twice:
            misses.append(f"{done} requests for {distinct} questions")
        if run.models() != reference.models() or run.manifests() != reference.manifests():
            misses.append("weights differ from the uninterrupted run's")
        if run.rendered() != reference.rendered():
            misses.append("tables or figures differ from the uninterrupted run's")
        if again := run.snakemake("-n").jobs:
            misses.append(f"a finished run still owes {dict(again)}")
        if partial := [path for path in run.results.rglob(".*") if path.is_file()]:
            misses.append(f"left half-written: {partial}")
    return misses
