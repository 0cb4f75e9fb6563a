"""Command: what no experiment refers to any more; with --yes it is freed. Judgments are money and always stay."""

import json
import shutil
from pathlib import Path

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import JOBS, RESULTS, STORE, read
from workflow_scripts.experiment import kept, options
from workflow_scripts.experiment.artifacts import Artifacts
from workflow_scripts.store import checksums


def leftovers(found: Artifacts) -> list[Path]:
    """What lies in an experiment's folder and its config does not declare, and jobs that it does not have."""
    folder = RESULTS / found.experiment.config.experiment
    declared = {kept.place(found.experiment), *found.by_path}
    declared |= {artifact.record for artifact in found.all}
    declared |= {path.parent for path in declared}
    # Whatever lies in a model's folder, such as the shards of one that was loaded, is the model's.
    models = {path.parent for path in declared if path.name == "manifest.json"}
    left = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path not in declared and path.parent not in models
    ]
    jobs = {artifact.job.path for artifact in found.all}
    gone = (path for path in sorted(JOBS.glob("*")) if path not in jobs and _is_in(folder, path))
    return [*_whole_folders(left, declared), *gone]


def _is_in(folder: Path, job: Path) -> bool:
    """Whether a job makes something of an experiment, or is none; others are those of other experiments."""
    try:
        return folder in read(job).record.parents
    except UserError:
        return True


def _whole_folders(files: list[Path], declared: set[Path]) -> list[Path]:
    """Files, but the folder in place of files that lie in a folder of which nothing is declared."""
    inside = {folder for path in declared for folder in path.parents}
    found: dict[Path, None] = {}
    for file in files:
        folders = [folder for folder in reversed(file.parents) if folder not in inside and folder not in declared]
        found[folders[0] if folders else file] = None
    return list(found)


def unreferenced(without: list[Path]) -> list[Path]:
    """Entries of the store that no artifact in results/ leads to, those `without` aside; unfinished work among them."""
    gone = set(without)
    used = set()

    def stays(path: Path) -> bool:
        return not gone & {path, *path.parents}

    for path in filter(stays, RESULTS.glob("[!.]*/**/manifest.json")):
        used.add(json.loads(path.read_text())["store"])
    for path in filter(stays, RESULTS.glob("[!.]*/**/*.parquet")):
        lineage = records.lineage(path)
        used |= {lineage.get("completions"), lineage.get("translations")}
    kinds = ("models", "work", "completions", "translations")
    entries = [entry for kind in kinds for entry in STORE.glob(f"{kind}/*")]
    return [entry for entry in sorted(entries) if entry.name.partition(".")[0].partition("-")[0] not in used]


def size(path: Path) -> int:
    """Bytes that go with a file or folder; a file that has another link frees nothing by itself."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = options.parser("gc", __doc__)
    parser.add_argument("--yes", action="store_true", help="free it")
    given = parser.parse_args(arguments)
    left = leftovers(options.read(given.config))
    found = [*left, *unreferenced(left)]
    for path in found:
        print(f"{size(path):>14,} bytes  {path}")
        if given.yes:
            for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
                checksums.discard(RESULTS, file)
            shutil.rmtree(path, ignore_errors=True)
    if not found:
        print("Everything is referred to.")
    elif not given.yes:
        print(f"{len(found)} things that {given.config} does not refer to; `make gc ARGS=--yes` frees them.")
