"""A copy of the finished experiment that an edit may change, and what one run of Snakemake does there."""

import json
import os
import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.base import hashing, work_counter

REPOSITORY = Path(__file__).resolve().parents[2]
CODE = ["Snakefile", "code.lock", "rules", "workflow", "workflow_scripts", "profiles", "published", "envs"]
RECIPE = re.compile(rb"\n(<!--|%) recipe [0-9a-f]{64}.*|<!-- recipe [0-9a-f]{64} -->")
JOB = re.compile(r"^(?:local)?rule (\w+):$", re.MULTILINE)

# As the jobs of a judge that costs money: two at once may each pay for a request that both have.
IN_TURN = ("--set-resources", *(f"{rule}:judge=1" for rule in ("judge", "compare", "calibrate")))

Config = dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What one run of Snakemake did."""

    status: int
    output: str
    work: Counter[str]  # by kind of the work counter
    jobs: Counter[str]  # by rule


@dataclass
class Run:
    """The experiment's folder, its config, and the code that runs it."""

    folder: Path
    code: Path
    config: Config
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The experiment's folder of results."""
        return self.folder / "results" / self.config["experiment"]

    def snakemake(self, *more: str) -> Outcome:
        """Write the config, give the bare command, and count what it does."""
        count = self.folder.parent / f"{self.folder.name}.meter"
        count.unlink(missing_ok=True)
        process = self.start(count, *more)
        output = process.communicate()[0]
        return Outcome(process.returncode, output, work_counter.totals(count), Counter(JOB.findall(output)))

    def start(self, count: Path, *more: str) -> "subprocess.Popen[str]":
        """The bare command as a running process."""
        self.write_config()
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "-s", str(self.code / "Snakefile"), "--cores", "2", *more, *IN_TURN],
            cwd=self.folder,
            env={**environment(), **self.environment, "MIXMERGE_METER": str(count)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def write_config(self) -> Path:
        """Write the config, unless it lies there so; where it is."""
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)
        place = self.folder / "config.yaml"
        if not place.exists() or place.read_text() != text:
            place.write_text(text)
        return place

    def command(self, *arguments: str) -> str:
        """Run one of our own commands, such as discard; what it prints."""
        self.write_config()
        python = [sys.executable, "-m", "workflow_scripts", *arguments]
        paths = [str(self.code), *filter(None, [self.environment.get("PYTHONPATH")])]
        env = {**environment(), **self.environment, "PYTHONPATH": os.pathsep.join(paths)}
        done = subprocess.run(python, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout

    def models(self) -> dict[str, str]:
        """Hash of every weight file that is there."""
        files = sorted(self.results.glob("seed*/models/*/model.safetensors"))
        return {str(path.relative_to(self.results)): hashing.of_file(path) for path in files}

    def manifests(self) -> dict[str, str]:
        """Content of every model, temporary ones too."""
        files = sorted(self.results.glob("seed*/models/*/manifest.json"))
        return {path.parent.name: json.loads(path.read_text())["model"] for path in files}

    def rendered(self) -> dict[str, bytes]:
        """Every table and figure, without the note of its recipe."""
        files = [path for kind in ("tables", "figures") for path in sorted((self.results / kind).glob("[!.]*.*"))]
        return {path.name: RECIPE.sub(b"", path.read_bytes()) for path in files if path.suffix != ".json"}


def environment() -> dict[str, str]:
    """Of every command: this Python first in the path, no setting of the caller's that changes results."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "SNAKEMAKE_PROFILE"}}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "OMP_NUM_THREADS": "1"}
