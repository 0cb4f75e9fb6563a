"""Command: what no experiment refers to any more; with --yes it is freed. Judgments are money and always stay."""

import argparse
import json
import shutil
from pathlib import Path

from workflow_scripts.base import records
from workflow_scripts.config import reading
from workflow_scripts.experiment import provenance, table_of_models
from workflow_scripts.experiment.recipes import Recipes
from workflow_scripts.store import checksums

RESULTS = Path("results")
STORE = RESULTS / ".store"


def leftovers(recipes: Recipes) -> list[Path]:
    """What lies in an experiment's folder and its config does not declare: models, answers, scores, tables, figures."""
    folder = RESULTS / recipes.config.experiment
    declared = {artifact.path for artifact in provenance.artifacts(recipes)}
    models = {path.parent for path in declared if path.name == "manifest.json"}
    names = set(recipes.experiment.models)
    found = [path for path in sorted(folder.glob("seed*/models/*")) if path not in models]
    found += [path for path in sorted(folder.glob("seed*/curves/*")) if path.stem not in names]
    for pattern in ("data/*/*", "seed*/generations/*/*", "seed*/scores/*/*/*", "seed*/batches/*/*/*"):
        found += [path for path in sorted(folder.glob(pattern)) if path not in declared]
    items = {path.with_suffix("") for path in declared if path.suffix in {".md", ".svg"}}
    for pattern in ("tables/*", "figures/*"):
        found += [path for path in sorted(folder.glob(pattern)) if path.with_suffix("") not in items]
    return found


def unreferenced(without: list[Path]) -> list[Path]:
    """Entries of the store that no artifact in results/ leads to, those `without` aside; unfinished work among them."""
    gone = set(without)
    used = set()
    for path in RESULTS.glob("*/seed*/models/*/manifest.json"):
        if path.parent not in gone:
            used.add(json.loads(path.read_text())["store"])
    for path in RESULTS.glob("*/seed*/generations/*/*.parquet"):
        if path not in gone:
            used.add(records.lineage(path).get("completions"))
    for path in RESULTS.glob("*/data/sources/*.parquet"):
        if path not in gone:
            used.add(records.lineage(path).get("translations"))
    kinds = ("models", "work", "completions", "translations")
    entries = [entry for kind in kinds for entry in STORE.glob(f"{kind}/*")]
    return [entry for entry in sorted(entries) if entry.name.removesuffix(".lock").partition("-")[0] not in used]


def size(path: Path) -> int:
    """Bytes that go with a file or folder; a file that has another link frees nothing by itself."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="gc", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--yes", action="store_true", help="free it")
    given = parser.parse_args(arguments)
    recipes = Recipes(table_of_models.load(reading.read(given.config)))
    left = leftovers(recipes)
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
