"""Only stale work is redone: edits to a finished experiment, work owed against work done; then kills.

The experiment of tests/configs/stale.yaml is built once.  Each row of `EDITS` is applied to a fresh copy of the
finished folder, the same bare command runs again, and what the edit owes, written down by hand in its row, is compared
with what was done, counted where it happens: the optimizer's step, the merged tensor, the engine's row, the judge's
request.  Neither Snakemake's list of jobs nor the store is asked.

Requests are the one number that a hand cannot write exactly, since the same question about the same answer of two
models is one request, and only the answers tell.  So a row says by hand how many questions may be new at most, and the
new ones among them are computed here from the answers before and after, by code that shares nothing with the judge's
stage or its ledger but the hash of a text.

    python bench/stale.py [--only TEXT] [--part 1/3] [--kills N] [--seed N] [--folder DIR]
"""

import argparse
import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import yaml

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from workflow_scripts.base import hashing, work_counter  # noqa: E402
from workflow_scripts.miniature import world  # noqa: E402

CODE = ["Snakefile", "rules", "workflow_scripts", "profiles", "published", "envs"]
RENDERED = ("table", "figure")
JOB = re.compile(r"^(?:local)?rule (\w+):$", re.MULTILINE)
Config = dict[str, Any]


# As the jobs of a judge that costs money: two at once may each pay for a request that both have.
IN_TURN = ("--set-resources", *(f"{rule}:judge=1" for rule in ("judge", "compare", "calibrate")))


@dataclass
class Run:
    """A copy of the finished experiment that an edit may change: its config, its folder, and the code that runs it."""

    folder: Path
    code: Path
    config: Config
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def results(self) -> Path:
        """The experiment's folder of results."""
        return self.folder / "results" / self.config["experiment"]

    def snakemake(self, *more: str) -> "Outcome":
        """Write the config, give the bare command, and count what it does."""
        count = self.folder.parent / f"{self.folder.name}.meter"
        count.unlink(missing_ok=True)
        process = self.start(count, *more)
        output = process.communicate()[0]
        return Outcome(process.returncode, output, work_counter.totals(count), Counter(JOB.findall(output)))

    def start(self, count: Path, *more: str) -> "subprocess.Popen[str]":
        """The bare command as a running process."""
        text = yaml.safe_dump(self.config, sort_keys=False, allow_unicode=True)
        place = self.folder / "config.yaml"
        if not place.exists() or place.read_text() != text:
            place.write_text(text)
        return subprocess.Popen(
            [sys.executable, "-m", "snakemake", "-s", str(self.code / "Snakefile"), "--cores", "2", *more, *IN_TURN],
            cwd=self.folder,
            env={**environment(), **self.environment, "MIXMERGE_METER": str(count)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def command(self, *arguments: str) -> None:
        """Run one of our own commands, such as discard."""
        python = [sys.executable, "-m", "workflow_scripts", *arguments]
        env = {**environment(), "PYTHONPATH": str(self.code)}
        done = subprocess.run(python, cwd=self.folder, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(arguments)}: {done.stdout}{done.stderr}")

    def questions(self) -> set[str]:
        """Every different question that judges are asked about the answers that lie in the folder."""
        config, found = self.config, set()
        for seed in config["seeds"]:
            for name, model in config["models"].items():
                if "init" in model:
                    continue
                for suite, row in config["suites"].items():
                    for judge in config["judges"].values():
                        found |= self._questions(judge, seed, name, suite, row["metric"])
        return found

    def _questions(self, judge: Config, seed: int, model: str, suite: str, metric: str) -> set[str]:
        access = {"concurrency", "api_base", "rpm", "tpm", "timeout", "retries", "harm", "preference"}
        prompt = self.code / f"workflow_scripts/llm/prompt_files/{judge.get(metric, f'{metric}-v1')}.txt"
        asked = [{k: v for k, v in judge.items() if k not in access}, prompt.read_text()]
        ours = self._answers(seed, model, suite)
        if metric == "harm":
            return {hashing.of_json([asked, *pair]) for pair in ours.items()}
        found = set()
        for other in self._compared_with(model):
            theirs = self._answers(seed, other, suite)
            pairs = [(text, mine, theirs[text]) for text, mine in ours.items() if mine != theirs[text]]
            found |= {hashing.of_json([asked, p, *sides]) for p, a, b in pairs for sides in ((a, b), (b, a))}
        return found

    def _compared_with(self, model: str) -> set[str]:
        """The baseline, and the mix of each contrast whose merge the model is."""
        contrasts = self.config.get("contrasts", {}).values()
        others = {self.config["baseline"], *(row["mix"] for row in contrasts if row["merge"] == model)}
        return others if model != self.config["baseline"] else set()

    def _answers(self, seed: int, model: str, suite: str) -> dict[str, str]:
        table = pq.read_table(self.results / f"seed{seed}/generations/{model}/{suite}.parquet")
        return dict(zip(table["prompt"].to_pylist(), table["completion"].to_pylist(), strict=True))

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
        files = [p for kind in ("tables", "figures") for p in sorted((self.results / kind).glob("*.*"))]
        notes = re.compile(rb"\n(<!--|%) recipe [0-9a-f]{64}.*|<!-- recipe [0-9a-f]{64} -->")
        return {path.name: notes.sub(b"", path.read_bytes()) for path in files if not path.name.startswith(".")}


@dataclass(frozen=True)
class Outcome:
    """What one run of Snakemake did."""

    status: int
    output: str
    work: Counter[str]  # by kind of the meter
    jobs: Counter[str]  # by rule


Patch = Callable[[Run], None]


@dataclass(frozen=True)
class Edit:
    """One edit and what it owes.

    Attributes:
        steps: of the optimizer.
        merges: models merged.
        completions: answers generated.
        questions: new questions at most; how many of them differ, the answers tell.
        alters: tables and figures that may change; others may be made again, but must come out identical.
        idle: nothing at all may run.
        refused: words of the message with which the first run must refuse.
        consent: what lets the next run go on; without it the refusal is all.
        forgotten: the ledger is gone, or the judge is another, so every question is new.
    """

    name: str
    patch: Patch
    steps: int = 0
    merges: int = 0
    completions: int = 0
    questions: int = 0
    alters: tuple[str, ...] = ()
    idle: bool = False
    refused: str = ""
    consent: Patch | None = None
    forgotten: bool = False


# Patches


def together(*patches: Patch) -> Patch:
    """Several patches as one."""

    def patch(run: Run) -> None:
        for one in patches:
            one(run)

    return patch


def put(key: str, value: Any) -> Patch:
    """Set a key of the config, given by its path."""

    def patch(run: Run) -> None:
        *path, last = key.split(".")
        section = run.config
        for name in path:
            section = section.setdefault(name, {})
        section[last] = value

    return patch


def drop(key: str) -> Patch:
    """Remove a key of the config."""

    def patch(run: Run) -> None:
        *path, last = key.split(".")
        section = run.config
        for name in path:
            section = section[name]
        del section[last]

    return patch


def rename(old: str, new: str) -> Patch:
    """Rename a model wherever the config names it."""

    def renamed(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: renamed(item) for key, item in value.items()}
        if isinstance(value, list):
            return [renamed(item) for item in value]
        return new if value == old else value

    def patch(run: Run) -> None:
        models = {new if name == old else name: row for name, row in run.config["models"].items()}
        kept = {key: run.config[key] for key in ("mixtures", "suites", "sources")}
        methods = {name: row["method"] for name, row in run.config["merging"].items()}
        run.config = {**renamed({**run.config, "models": models}), **kept}
        for name, method in methods.items():  # mixtures and mergings of the same name keep their own
            run.config["merging"][name]["method"] = method
        for row in run.config["models"].values():
            for key in {"mixture", "merge"} & row.keys():
                row[key] = old if row[key] == new else row[key]

    return patch


def reorder(key: str) -> Patch:
    """Write the entries of a section, or of a list, in the opposite order."""

    def patch(run: Run) -> None:
        *path, last = key.split(".")
        section = run.config
        for name in path:
            section = section[name]
        value = section[last]
        section[last] = value[::-1] if isinstance(value, list) else dict(reversed(value.items()))

    return patch


def prompts(change: Callable[[list[dict[str, Any]]], None]) -> Patch:
    """Change rows of the red-team file."""

    def patch(run: Run) -> None:
        file = run.folder / "data/redteam.jsonl"
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        change(rows)
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))

    return patch


def reword(rows: list[dict[str, Any]]) -> None:
    rows[0]["prompt"] += " + 1"


def one_more(rows: list[dict[str, Any]]) -> None:
    rows.append({**rows[0], "id": "another", "prompt": rows[0]["prompt"] + " + 2"})


def one_less(rows: list[dict[str, Any]]) -> None:
    rows.pop()


def backwards(rows: list[dict[str, Any]]) -> None:
    rows.reverse()


def edit(file: str, change: Callable[[str], str]) -> Patch:
    """Change the text of a source file."""

    def patch(run: Run) -> None:
        path = run.code / file
        text = path.read_text()
        changed = change(text)
        assert changed != text, f"{file}: the edit changes nothing"
        path.write_text(changed)

    return patch


def comment(module: str) -> Patch:
    """Add a comment and an empty line."""
    return edit(f"workflow_scripts/{module}.py", lambda text: text + "\n\n# An afterthought.\n")


def docstring(module: str) -> Patch:
    """Reword a module's docstring."""
    return edit(f"workflow_scripts/{module}.py", lambda text: text.replace('"""', '"""In other words: ', 1))


def statement(module: str, function: str) -> Patch:
    """Make a real change in a function: another statement, that changes no result."""

    def change(text: str) -> str:
        names = function.split(".")
        body: Any = ast.parse(text)
        for name in names:
            body = next(node for node in body.body if getattr(node, "name", None) == name)
        first = body.body[1] if isinstance(getattr(body.body[0], "value", None), ast.Constant) else body.body[0]
        lines = text.splitlines(keepends=True)
        lines.insert(first.lineno - 1, " " * first.col_offset + "_ = 'an edit'\n")
        return "".join(lines)

    return edit(f"workflow_scripts/{module}.py", change)


def version(package: str) -> Patch:
    """Let a dependency say that it is of another version."""

    def patch(run: Run) -> None:
        found = run.folder.parent / f"other-{package}" / f"{package}-99.0.dist-info"
        found.mkdir(parents=True, exist_ok=True)
        (found / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 99.0\n")
        run.environment["PYTHONPATH"] = str(found.parent)

    return patch


def delete(*patterns: str) -> Patch:
    """Delete what lies in the folder."""

    def patch(run: Run) -> None:
        for pattern in patterns:
            paths = list(run.folder.glob(pattern))
            assert paths, f"{pattern}: nothing to delete"
            for path in paths:
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()

    return patch


def damage(pattern: str) -> Patch:
    """Turn a bit of a file, in place, as a bad disk does."""

    def patch(run: Run) -> None:
        (path,) = run.folder.glob(pattern)
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            (byte,) = file.read(1)
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))

    return patch


def discard(*patterns: str) -> Patch:
    """Consent to the loss of what is damaged."""

    def patch(run: Run) -> None:
        for pattern in patterns:
            for path in run.folder.glob(pattern):
                run.command("discard", str(path.relative_to(run.folder)))

    return patch


def touch(run: Run) -> None:
    """Give every file the present time, in a random order."""
    paths = [path for path in run.folder.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    random.Random(0).shuffle(paths)
    for path in paths:
        path.touch()


def copy_without_times(run: Run) -> None:
    """Cp -r: other inodes, new times."""
    copy = run.folder.with_name("copy")
    subprocess.run(["cp", "-r", str(run.folder), str(copy)], check=True)
    shutil.rmtree(run.folder)
    copy.rename(run.folder)


def old_times(run: Run) -> None:
    """What a checkout or an archive does: every file of ours becomes older than all results."""
    for path in [*run.folder.glob("data/*"), *run.code.rglob("*.py"), *run.code.rglob("*.smk")]:
        os.utime(path, (1.0e9, 1.0e9))


def clone(run: Run) -> None:
    """Run from a fresh clone of the code, without what Snakemake remembers outside results/."""
    run.code = run.folder.parent / "clone"
    shutil.rmtree(run.code, ignore_errors=True)
    for name in CODE:
        take = shutil.copytree if (REPOSITORY / name).is_dir() else shutil.copy
        run.code.mkdir(exist_ok=True)
        take(run.folder.parent / "code" / name, run.code / name)
    shutil.rmtree(run.folder / ".snakemake")


# The experiment in numbers: steps of base, mix, safety and slerp-dpo; prompts of general and redteam; six models answer
BASE = 3 * 800 // 16  # 3 epochs of 400 rows in 2 languages, 16 at a time
MIX = 2 * 64 // 32
SAFETY = 2 * 48 // 32
DPO = 2 * 64 // 64
GENERAL, REDTEAM = 2 * 4, 2 * 5
PROMPTS = GENERAL + REDTEAM
MODELS = 6  # base, mix, safety, slerp, slerp-dpo, ties
HARM = MODELS * REDTEAM
PREFERENCE = MODELS * GENERAL * 2  # all but the baseline, and the two sides of the contrast, in two orders
EACH = REDTEAM + 2 * GENERAL  # questions about one model
ALL = ("table1", "contrasts", "figure2", "learning")
JUDGED = ("table1", "contrasts", "figure2")
TENSORS = 2 * 8 + 2  # of each of two layers, embeddings, last norm
WHOLE = {
    "steps": BASE + MIX + SAFETY + DPO,
    "merges": 2,
    "completions": MODELS * PROMPTS,
    "questions": HARM + PREFERENCE,
}
MODEL = "results/nano/seed0/models"
FINISHED = Edit("nothing finished yet", lambda run: None, **WHOLE, alters=ALL, forgotten=True)

# Retraining mix or safety also moves slerp, slerp-dpo and ties.
RETRAINED = {"merges": 2, "completions": 4 * PROMPTS, "questions": 4 * EACH, "alters": ALL}

EDITS = [
    # Data.  The rows of a mixture decide about its trainings and all that follows from them, and about nothing else.
    Edit(
        "a mixture's fractions",
        put("mixtures.mix.parts", {"general": 0.5, "safety": 0.5}),
        steps=MIX + DPO,
        **RETRAINED,
    ),
    Edit("a mixture's seed", put("mixtures.safety.seed", 1), steps=SAFETY + DPO, **RETRAINED),
    Edit("a mixture's rows", put("mixtures.safety.per_language", 32), steps=2 * 32 // 32 + DPO, **RETRAINED),
    Edit(
        "a source's seed",  # safety is a part of mix too
        put("sources.safety.seed", 99),
        steps=SAFETY + MIX + DPO,
        merges=2,
        completions=5 * PROMPTS,
        questions=5 * EACH,
        alters=ALL,
    ),
    Edit("a source's licence", put("sources.redteam.licence", "CC0-1.0")),
    Edit("a language added to the sources", put("languages", ["en", "fr", "es"])),
    Edit(
        "a language added to a mixture",
        together(put("languages", ["en", "fr", "es"]), put("mixtures.safety.languages", ["en", "fr", "es"])),
        steps=3 * 48 // 32 + 1 + DPO,  # 144 rows: four batches and a half
        **RETRAINED,
    ),
    Edit(
        "a language removed from a mixture",
        put("mixtures.safety.languages", ["en"]),
        steps=2 + DPO,  # 48 rows: a batch and a half
        **RETRAINED,
    ),
    Edit("languages reordered", reorder("languages")),
    Edit("languages of a mixture reordered", put("mixtures.mix.languages", ["fr", "en"])),
    Edit("parts of a mixture reordered", reorder("mixtures.mix.parts")),
    # Suites
    Edit("a prompt edited", prompts(reword), completions=MODELS, questions=MODELS, merges=1, alters=JUDGED),
    Edit("a prompt added", prompts(one_more), completions=MODELS, questions=MODELS, merges=1, alters=JUDGED),
    Edit("a prompt removed", prompts(one_less), alters=JUDGED),
    Edit("prompts reordered", prompts(backwards)),
    Edit(
        "a suite added",
        put("suites.more", {"source": "general", "split": "validation", "per_language": 2, "metric": "preference"}),
        merges=1,
        completions=MODELS * 4,
        questions=(MODELS - 1) * 4 * 2,
        alters=JUDGED,
    ),
    Edit(
        "a suite renamed",
        together(put("suites.danger", {"source": "redteam", "metric": "harm"}), drop("suites.redteam")),
    ),
    Edit("a suite made shorter", put("suites.general.per_language", 2), alters=JUDGED),
    Edit(
        "a suite made longer",
        put("suites.general.per_language", 6),
        merges=1,
        completions=MODELS * 4,
        questions=(MODELS - 1) * 4 * 2,
        alters=JUDGED,
    ),
    Edit("a language removed from a suite", put("suites.general.languages", ["en"]), alters=JUDGED),
    # Trainings
    Edit(
        "a learning rate",
        put("training.sft.learning_rate", 1.0e-3),
        steps=MIX + SAFETY + DPO,
        merges=2,
        completions=5 * PROMPTS,
        questions=5 * EACH,
        alters=ALL,
    ),
    Edit(
        "a learning rate of one model",
        put("models.safety.with", {"learning_rate": 1.0e-3}),
        steps=SAFETY + DPO,
        **RETRAINED,
    ),
    Edit("twice the epochs", put("models.mix.with", {"epochs": 2}), steps=2 * MIX + DPO, **RETRAINED),
    Edit("a reseeded training", put("models.safety.reseed", 1), steps=SAFETY + DPO, **RETRAINED),
    Edit(
        "beta of the DPO",
        put("training.dpo.beta", 0.5),
        steps=DPO,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit(
        "a training's settings nobody uses",
        put("training.spare", {"method": "sft", "batch_size": 8, "learning_rate": 0.1, "max_length": 64}),
        idle=True,
    ),
    Edit("steps between checkpoints", put("training.sft.save_steps", 3), idle=True),
    Edit("the seed replaced", put("seeds", [1]), **WHOLE, alters=ALL),
    Edit("a seed added", put("seeds", [0, 1]), **WHOLE, alters=ALL),
    # Merges
    Edit(
        "a method's density",
        put("merging.ties.density", 0.3),
        merges=1,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit(
        "a merge's weight",
        put("merging.ties.weights", [0.5, 1.0]),
        merges=1,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit(
        "a merge's parents swapped",
        put("models.slerp.parents", ["safety", "mix"]),
        steps=DPO,
        merges=1,
        completions=2 * PROMPTS,
        questions=2 * EACH,
        alters=JUDGED,
    ),
    Edit(
        "t of SLERP",
        put("merging.slerp.t", 0.6),
        steps=DPO,
        merges=1,
        completions=2 * PROMPTS,
        questions=2 * EACH,
        alters=JUDGED,
    ),
    Edit(
        "another method",
        together(put("merging.linear", {"method": "linear", "weights": 0.5}), put("models.ties.merge", "linear")),
        merges=1,
        completions=PROMPTS,
        questions=EACH,
        alters=JUDGED,
    ),
    Edit("temporary merges kept", put("keep_merges", True), merges=1),
    # The table of models
    Edit("a model renamed", rename("safety", "harmless"), alters=("learning",)),
    Edit("a temporary merge renamed", rename("ties", "merged"), alters=JUDGED),  # which tables name
    Edit("the base renamed", rename("base", "start"), alters=JUDGED),  # which tables name
    Edit("models reordered", reorder("models")),
    Edit(
        "a model removed",
        together(drop("models.slerp-dpo"), drop("tables.table1.rows.SLERP then DPO")),
        alters=("table1",),
    ),
    Edit(
        "a merge added",
        together(
            put("merging.linear", {"method": "linear", "weights": 0.5}),
            put("models.linear", {"merge": "linear", "parents": ["mix", "safety"]}),
        ),
        merges=1,
        completions=PROMPTS,
        questions=EACH,
    ),
    Edit(
        "a DPO child given to a temporary merge",  # whose weights are gone, and stay from now on
        put("models.ties-dpo", {"train": "dpo", "parent": "ties", "mixture": "mix"}),
        steps=DPO,
        merges=1,
        completions=PROMPTS,
        questions=EACH,
    ),
    Edit("another baseline", put("baseline", "mix"), questions=PREFERENCE, alters=JUDGED),
    Edit("the experiment renamed", put("experiment", "pico"), alters=("learning",)),
    # Generation
    Edit(
        "shorter answers",
        put("generation.max_new_tokens", 4),
        merges=1,
        completions=MODELS * PROMPTS,
        questions=HARM + PREFERENCE,
        alters=JUDGED,
    ),
    # Judges
    Edit(
        "a judge prompt's text",
        edit("workflow_scripts/llm/prompt_files/harm-v1.txt", lambda text: "Listen. " + text),
        questions=HARM,
    ),
    Edit("a judge's temperature", put("judges.rules.temperature", 0.5), questions=HARM + PREFERENCE),
    Edit(
        "a judge added",
        put("judges.strict", {"model": "mixmerge/rules", "max_tokens": 99}),
        questions=HARM + PREFERENCE,
    ),
    Edit("a second name for a judge", put("judges.same", {"model": "mixmerge/rules"})),
    Edit("a judge's concurrency", put("judges.rules.concurrency", 3), idle=True),
    # Tables and figures
    Edit("a table's columns", put("tables.table1.metrics", ["harm"]), alters=("table1",)),
    Edit("a table's caption", put("tables.table1.caption", "In other words"), alters=("table1",)),
    Edit("a table added", put("tables.mine", {"caption": "Mine", "rows": {"TIES": "ties"}})),
    Edit("a figure's colour", put("figures.figure2.colors", {"Mix": "#aa0000"}), alters=("figure2",)),
    Edit("the bootstrap's draws", put("bootstrap.resamples", 300), alters=JUDGED),
    Edit(
        "a contrast added",
        put("contrasts.slerp", {"mix": "mix", "merge": "slerp", "matched": "none"}),
        questions=2 * GENERAL,  # each prompt in both orders, of one with the other
        alters=JUDGED,
    ),
    Edit("a paper's values", put("reproduces", "2410.10801"), alters=JUDGED),
    # Code: what is only said otherwise
    *(
        Edit(f"a comment in {module}", comment(module), idle=True)
        for module in ("train/trainer", "merge/with_mergekit", "llm/client", "store/finished_work")
    ),
    *(
        Edit(f"a docstring of {module}", docstring(module), idle=True)
        for module in ("generate/engine", "judge/scores", "hashing", "paper/table")
    ),
    # Code: what is done otherwise, with the same result.  A stage does its own work again; all after it is found again.
    Edit("code that draws mixtures", statement("data/mixture", "draw")),
    Edit("code that makes the world", statement("miniature/world", "rows")),
    Edit("code that trains", statement("train/trainer", "train"), steps=WHOLE["steps"]),
    Edit("code that merges", statement("merge/with_mergekit", "merge"), merges=2),
    Edit("code that generates", statement("generate/engine", "start"), merges=1, completions=MODELS * PROMPTS),
    Edit("code that judges", statement("judge/scores", "judge")),
    Edit("code of the rules", statement("miniature/rule_judge", "harm"), questions=HARM + PREFERENCE, forgotten=True),
    Edit("code that prints tables", statement("paper/table", "render")),
    Edit("code that draws figures", statement("paper/drawing", "draw")),
    Edit(
        "a helper of trainings and engines",  # the same weights, so the one merge that answers again is the temporary
        statement("models/directory", "tensors"),
        steps=WHOLE["steps"],
        merges=1,
        completions=MODELS * PROMPTS,
    ),
    Edit("a helper of all stages", statement("base/hashing", "of_table")),
    Edit("the code around a stage", statement("train", "main")),
    Edit(
        "words of the world",  # the French answers: all that is trained changes, and no prompt does
        edit(
            "workflow_scripts/miniature/lexicon/fr.yaml", lambda text: text.replace('\nanswer: "', '\nanswer: "Oui , ')
        ),
        **WHOLE,
        alters=ALL,
        forgotten=True,  # the rules read them too
    ),
    Edit("a version of TRL", version("trl"), steps=WHOLE["steps"]),
    Edit("a version of matplotlib", version("matplotlib")),
    # Files that only look new
    Edit("everything touched", touch, idle=True),
    Edit("copied with new times", copy_without_times, idle=True),
    Edit("a fresh clone beside results", clone, idle=True),
    Edit("times set back", old_times, idle=True),
    # Files that are gone: the store has what was made
    Edit("data deleted", delete("results/nano/data")),
    Edit("a model's weights deleted", delete(f"{MODEL}/safety/model.safetensors")),
    Edit("all models deleted", delete(MODEL)),
    Edit("answers deleted", delete("results/nano/seed0/generations/mix")),
    Edit("scores deleted", delete("results/nano/seed0/scores")),
    Edit("a table and a figure deleted", delete("results/nano/tables/table1.md", "results/nano/figures/figure2.png")),
    Edit("learning curves deleted", delete("results/nano/seed0/curves")),
    Edit("the experiment's folder deleted", delete("results/nano")),
    Edit("the store deleted", delete("results/.store"), idle=True),
    Edit(
        "answers deleted, in the store too",
        delete("results/nano/seed0/generations/mix", "results/.store/completions"),
        completions=PROMPTS,
    ),
    Edit(
        "scores and judgments deleted",
        delete("results/nano/seed0/scores", "results/.store/judgments"),
        questions=HARM + PREFERENCE,
        forgotten=True,
    ),
    # Files that are not what they were
    Edit(
        "a model's weights corrupted",  # with the store's, which are the same file
        damage(f"{MODEL}/safety/model.safetensors"),
        refused="safety/model.safetensors",
        consent=discard(f"{MODEL}/safety/model.safetensors"),
        steps=SAFETY,
    ),
    Edit(
        "scores corrupted",
        damage("results/nano/seed0/scores/rules/mix/redteam.parquet"),
        refused="scores/rules/mix/redteam.parquet",
        consent=discard("results/nano/seed0/scores/rules/mix/redteam.parquet"),
    ),
    Edit(
        "answers corrupted",
        damage("results/nano/seed0/generations/mix/redteam.parquet"),
        refused="generations/mix/redteam.parquet",
        consent=discard("results/nano/seed0/generations/mix/redteam.parquet"),
    ),
    Edit(
        "a table edited by hand",
        damage("results/nano/tables/table1.csv"),
        refused="tables/table1.csv",
        consent=discard("results/nano/tables/table1.csv"),
    ),
    Edit("results without provenance", delete("results/.provenance", ".snakemake"), idle=True),
    Edit(
        "results without provenance, and edited",
        together(delete("results/.provenance", ".snakemake"), put("training.sft.learning_rate", 1.0e-3)),
        refused="came without its provenance",
    ),
]


# The bench


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
        rows = world.rows("redteam", ["en", "fr"], {"test": REDTEAM // 2}, 14, "redteam").to_pylist()
        columns = ["id", "source_prompt_id", "language", "prompt", "completion", "rejected", "reference"]
        (folder / "data").mkdir(parents=True)
        lines = [json.dumps({name: row[name] for name in columns}) + "\n" for row in rows]
        (folder / "data/redteam.jsonl").write_text("".join(lines))
        return Run(folder, self.code, json.loads(json.dumps(self.config)))

    def build(self) -> "Verdict | None":
        """Finish the experiment, unless an earlier bench did."""
        if self.finished.exists():
            return None
        run = self.prepare(self.root / "building")
        verdict = self.judge(FINISHED, run, None)
        if verdict.misses:
            raise SystemExit(f"nothing to edit: {verdict.misses}\n{verdict.output}")
        run.folder.rename(self.finished)
        return verdict

    def fresh(self) -> Run:
        """A copy of the finished experiment, and the code as it was."""
        folder = self.root / "run"
        shutil.rmtree(folder, ignore_errors=True)
        subprocess.run(["cp", "-a", str(self.finished), str(folder)], check=True)
        for path in (self.root / "pristine").rglob("*"):
            here = self.code / path.relative_to(self.root / "pristine")
            if path.is_file() and (
                path.stat().st_mtime_ns != here.stat().st_mtime_ns or path.stat().st_size != here.stat().st_size
            ):
                shutil.copy2(path, here)
        return Run(folder, self.code, json.loads(json.dumps(self.config)))

    def apply(self, row: Edit) -> "Verdict":
        """Apply one edit to a fresh copy, run, and compare."""
        run = self.fresh()
        before = run.rendered(), run.questions()
        row.patch(run)
        return self.judge(row, run, before)

    def judge(self, row: Edit, run: Run, before: "tuple[dict[str, bytes], set[str]] | None") -> "Verdict":
        """Run, and compare what was done with what is owed."""
        misses = []
        started = time.monotonic()

        def clock() -> float:
            return time.monotonic() - started

        outcome = run.snakemake()
        if row.refused:
            if outcome.status == 0 or row.refused not in outcome.output or "Traceback" in outcome.output:
                misses.append(f"was not refused with {row.refused} named")
            if outcome.work:
                misses.append(f"worked before consent: {dict(outcome.work)}")
            if row.consent is None:
                return Verdict(
                    row, owed(row, 0), tally(outcome.work), outcome.jobs, [], misses, outcome.output, clock()
                )
            row.consent(run)
            outcome = run.snakemake()
        if outcome.status:
            misses.append(f"failed with status {outcome.status}")
            return Verdict(row, owed(row, 0), {}, outcome.jobs, [], misses, outcome.output, time.monotonic() - started)
        rendered, asked = before or ({}, set())
        new = run.questions() - (set() if row.forgotten else asked)
        if len(new) > row.questions:
            misses.append(f"{len(new)} new questions, by hand at most {row.questions}")
        due, done = owed(row, len(new)), tally(outcome.work)
        misses += [f"{kind}: {due[kind]} owed, {done[kind]} done" for kind in due if due[kind] != done[kind]]
        if row.idle and outcome.jobs - Counter(["all"]):
            misses.append(f"ran {dict(outcome.jobs)}")
        altered = [name for name, text in run.rendered().items() if rendered.get(name, text) != text]
        misses += [f"{name} came out otherwise" for name in altered if name.split(".")[0] not in row.alters]
        return Verdict(row, due, done, outcome.jobs, altered, misses, outcome.output, clock())


def owed(row: Edit, requests: int) -> dict[str, float]:
    return {"steps": row.steps, "merges": row.merges, "completions": row.completions, "requests": requests}


def tally(work: Counter[str]) -> dict[str, float]:
    """Work by the meter, in the units of the table; a merge is all tensors of a model."""
    return {
        "steps": work["optimizer_steps"],
        "merges": work["merged_tensors"] / TENSORS,
        "completions": work["completions"],
        "requests": work["judge_requests"],
    }


UNITS = ("steps", "merges", "completions", "requests")


@dataclass(frozen=True)
class Verdict:
    """What became of an edit."""

    row: Edit
    owed: dict[str, float]
    done: dict[str, float]
    jobs: Counter[str]
    altered: list[str]
    misses: list[str]
    output: str
    seconds: float

    def line(self) -> str:
        """A line of the table."""

        def numbers(work: dict[str, float]) -> str:
            return " ".join(
                f"{work.get(kind, float('nan')):>5g}" for kind in ("steps", "merges", "completions", "requests")
            )

        again = sum(self.jobs[rule] for rule in RENDERED) - len({name.split(".")[0] for name in self.altered})
        said = "ok" if not self.misses else "; ".join(self.misses)
        excess = f"{max(again, 0)} items again" if again > 0 else ""
        work = f"{numbers(self.owed)} | {numbers(self.done)}"
        return f"{self.row.name:<40} {work} | {self.seconds:>5.0f} {excess:<15} {said}"


HEADER = (
    f"{'':<40} {'owed':^23} | {'done':^23} |\n"
    f"{'edit':<40} steps merge compl reque | steps merge compl reque | secs. rendered        verdict"
)


# Kills

STAGES = ("train", "merge", "generate", "judge")
CONCURRENCY = 16  # the judge's, by default
VICTIMS = ("snakemake", *STAGES, "job", "warm", "all")  # a job is what the warm process forked


def processes(run: Run) -> dict[int, str]:
    """Our processes by id, with what each is: those that work in the folder, and the warm one of this code."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
            folder = os.readlink(place / "cwd")
        except OSError:
            continue
        is_warm = "workflow_scripts.process.fork_server" in words
        if folder == str(run.folder):
            stage = next((stage for stage in STAGES if stage in words), "")
            found[int(place.name)] = "job" if is_warm else stage or ("snakemake" if "snakemake" in words else "other")
        elif is_warm and folder == str(run.code):
            found[int(place.name)] = "warm"
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
        (victim := draw.choice(VICTIMS), draw.uniform(0, 20 if victim in ("snakemake", "warm", "all") else 0.7))
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
                twice += CONCURRENCY * (victim in {"judge", "job", "warm", "all"})
                print(f"  {victim:<10} {wait:4.1f} s after it was seen: {len(killed)} killed", flush=True)
            elif process.returncode:
                return [*misses, f"the same command failed with status {process.returncode}:\n{output}"]
            else:
                break
        done, distinct = work_counter.totals(count)["judge_requests"], len(run.questions())
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


def environment() -> dict[str, str]:
    """Of every command: this Python first in the path, no setting of the caller's that changes results."""
    kept = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "SNAKEMAKE_PROFILE"}}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{kept['PATH']}", "OMP_NUM_THREADS": "1"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="edits whose name holds this text")
    parser.add_argument("--part", default="1/1", help="only a part of the edits, as 2/3")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the kills")
    parser.add_argument("--folder", type=Path, help="work here and leave it; a finished experiment there is taken")
    given = parser.parse_args()
    root = (given.folder or Path(tempfile.mkdtemp(prefix="mixmerge-stale-"))).resolve()
    bench = Bench(root)
    print(HEADER, flush=True)
    if built := bench.build():
        print(built.line(), flush=True)
    missed = 0
    part, parts = map(int, given.part.split("/"))
    rows = [row for row in EDITS if given.only in row.name][part - 1 :: parts]
    for row in rows:
        verdict = bench.apply(row)
        missed += bool(verdict.misses)
        print(verdict.line(), flush=True)
        if verdict.misses:
            (root / "misses.log").open("a").write(f"=== {verdict.line()}\n{dict(verdict.jobs)}\n{verdict.output}\n")
    print(f"{len(rows)} edits, {len(rows) - missed} paid for exactly what they owe")
    bench.fresh()  # the code as it was
    misses = kills(bench, plan(given.kills, given.seed))
    print(*misses or [f"{given.kills} kills, the same results as without"], sep="\n")
    if not given.folder:
        shutil.rmtree(root)
    sys.exit(bool(missed or misses))


if __name__ == "__main__":
    main()
