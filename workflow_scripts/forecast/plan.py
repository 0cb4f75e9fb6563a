"""Command: what an experiment costs before it is run, from its config alone, and what of it is done already.

Every figure is arithmetic on the config and on what it states: throughputs (`machine`), lengths of texts (`lengths`),
and the price table that comes with litellm.  An artifact is done where it lies as its recipe says, and so does all that
it was made from; the rest is an upper bound, for the store and the ledger may have parts of it.
"""

import argparse
import heapq
import importlib.util
import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from workflow_scripts.base.errors import UserError
from workflow_scripts.config import reading
from workflow_scripts.config.models import Train
from workflow_scripts.experiment import provenance, table_of_models
from workflow_scripts.experiment.provenance import Artifact
from workflow_scripts.experiment.recipes import Judged, Recipes
from workflow_scripts.forecast import work_counts
from workflow_scripts.forecast.resources import Requirements
from workflow_scripts.llm import ledger
from workflow_scripts.llm.request import RULES

LEDGER = Path("results/.store/judgments")
BYTES_PER_TOKEN = 4  # of a judge's prompt
LATENCY = 2.0  # seconds of a judge's answer, where no limit of the provider is stated
BATCH = 0.5  # of the price, by a provider's batch interface


IN_OUT = ("input", "output")
KINDS = {
    "trainings": "trainings",
    "steps": "optimizer steps",
    "tokens": "training tokens",
    "merges": "merges",
    "completions": "completions",
    "calls": "questions to language models",
    "gpu_hours": "GPU-hours",
    "usd": "US dollars",
}


class Job(NamedTuple):
    """A node of the plan, and how much work it is."""

    gpus: int = 0
    hours: float | None = 0.0  # None: no throughput is stated
    needs: tuple[str, ...] = ()
    judges: bool = False  # one at a time
    amounts: Mapping[str, float] = MappingProxyType({})
    notes: tuple[str, ...] = ()


@dataclass
class Row:
    """A kind of work: what there is of it in all, and what is owed."""

    what: str
    total: float = 0
    owed: float = 0

    def add(self, amount: float, is_done: bool) -> None:
        """Count an amount."""
        self.total += amount
        self.owed += 0 if is_done else amount


@dataclass
class Quote:
    """What an experiment costs; of a pair, the first is all of it and the second what is owed."""

    rows: dict[str, Row]
    spent_usd: float  # by the ledger
    kept_bytes: float
    peak_bytes: float
    gpus: int
    wall_hours: float | None  # of what is owed, with so many GPUs
    notes: list[str] = field(default_factory=list)

    def __getitem__(self, name: str) -> Row:
        return self.rows[name]


def quote(recipes: Recipes, gpus: int | None = None) -> Quote:
    """What an experiment costs.

    Args:
        recipes: of the experiment.
        gpus: how many work at once; default: those of one node.

    Raises:
        UserError: a job needs more GPUs than there are.
    """
    sizes = Requirements(recipes.experiment, recipes.answered_suites())
    gpus = gpus or recipes.config.machine.gpus_per_node
    rows, notes = {name: Row(what) for name, what in KINDS.items()}, dict[str, None]()
    artifacts, jobs = provenance.artifacts(recipes), dict[str, Job]()
    is_done = finished(recipes, artifacts)
    for artifact in artifacts:
        job = STAGES.get(artifact.rule, _brief)(recipes, sizes, artifact)
        if job.gpus > (gpus or job.gpus):
            raise UserError(
                f"{artifact.label}: needs {job.gpus} GPUs, and there are {gpus}; say GPUS={job.gpus} or more"
            )
        done = is_done(artifact.path)
        for name, amount in {**job.amounts, "gpu_hours": (job.hours or 0.0) * job.gpus}.items():
            rows[name].add(amount, done)
        notes |= dict.fromkeys(job.notes)
        job = job._replace(hours=0.0, gpus=0, judges=False) if done else job
        jobs[str(artifact.path)] = job._replace(needs=tuple(inputs(artifact)))
    kept, peak = _disk(recipes, sizes, gpus)
    spent = ledger.spent(LEDGER) if LEDGER.is_dir() else 0.0
    return Quote(rows, spent, kept, peak, gpus, wall(jobs, gpus), [*notes, *sizes.unknown()])


def finished(recipes: Recipes, artifacts: list[Artifact]) -> Callable[[Path], bool]:
    """A function from an artifact's path to whether it need not be made again."""
    known = {str(artifact.path): artifact for artifact in artifacts}

    @cache
    def is_done(path: Path) -> bool:
        artifact = known.get(str(path))
        if artifact is None or not path.exists():
            return False
        try:
            recipe = provenance.remembered(path) or provenance.carried(artifact)
        except (UserError, ValueError, KeyError, OSError):
            return False
        if not isinstance(recipe, dict):  # a table's hash
            return False
        same = all(recipe.get(part) == artifact.recipe[part] for part in ("work", "names"))
        return same and _is_current(recipes, artifact) and all(is_done(Path(need)) for need in inputs(artifact))

    return is_done


def inputs(artifact: Artifact) -> list[str]:
    """The artifacts that one is made from, by path, as the rules have it."""
    names, path = artifact.recipe["names"], artifact.path
    if artifact.rule in ("source", "load", "table", "figure"):
        return []
    data = Path(*path.parts[:2], "data")
    seed = Path(*path.parts[:3])  # results/<experiment>/seed<k>

    def model(name: str) -> str:
        return f"{seed}/models/{name}/manifest.json"

    match artifact.rule:
        case "mixture":
            return [f"{data}/sources/{name}.parquet" for name in names["sources"]]
        case "suite":
            return [f"{data}/sources/{names['source']}.parquet"]
        case "initialise" | "train":
            parent = [model(names["parent"])] if "parent" in names else []
            return [*parent, f"{data}/mixtures/{names['mixture']}.parquet"]
        case "merge":
            return [model(name) for name in [*names["parents"], names["base"]] if name]
        case "generate":
            return [model(names["model"]), f"{data}/suites/{path.stem}.parquet"]
        case "judge" | "compare" | "calibrate":
            answered = [name for name in (names["model"], names["baseline"]) if name]
            answers = [f"{seed}/generations/{name}/{names['suite']}.parquet" for name in answered]
            return [f"{data}/suites/{names['suite']}.parquet", *(answers if artifact.rule != "calibrate" else [])]
        case "synthesise" | "translate":
            return [f"{data}/sources/{names.get('seeds') or names.get('source')}.parquet"]
        case _:
            return []


def wall(jobs: dict[str, Job], gpus: int) -> float | None:
    """Hours that a plan takes: whichever job is first on the longest way to the end starts when its GPUs are free.

    Jobs without a GPU do not wait for one another, but judges do.  None where a job's hours are not known.

    >>> jobs = {"a": Job(1, 2, ()), "b": Job(1, 1, ()), "c": Job(1, 3, ("a",)), "d": Job(0, 1, ("c", "b"))}
    >>> wall(jobs, 1), wall(jobs, 2)
    (7.0, 6.0)
    """
    if any(job.hours is None for job in jobs.values()):
        return None
    followers: defaultdict[str, list[str]] = defaultdict(list)
    waits = {name: 0 for name in jobs}
    for name, job in jobs.items():
        for need in {need for need in job.needs if need in jobs}:
            followers[need].append(name)
            waits[name] += 1
    order = [name for name, count in waits.items() if not count]
    left = dict(waits)
    for name in order:  # grows as it goes: every job after all that it needs
        for follower in followers[name]:
            left[follower] -= 1
            order += [] if left[follower] else [follower]
    rest: dict[str, float] = {}  # from a job's start to the end of all, at the least
    for name in reversed(order):
        rest[name] = float(jobs[name].hours or 0) + max((rest[other] for other in followers[name]), default=0.0)
    ready = sorted((name for name, count in waits.items() if not count), key=lambda name: -rest[name])
    running: list[tuple[float, str]] = []
    now, free, judges = 0.0, gpus, 1
    while ready or running:
        waiting = []
        for name in ready:
            job = jobs[name]
            if job.gpus <= free and job.judges <= judges:
                free, judges = free - job.gpus, judges - job.judges
                heapq.heappush(running, (now + float(job.hours or 0), name))
            else:
                waiting.append(name)
        now, name = heapq.heappop(running)
        free, judges = free + jobs[name].gpus, judges + jobs[name].judges
        for follower in followers[name]:
            waits[follower] -= 1
            waiting += [] if waits[follower] else [follower]
        ready = sorted(waiting, key=lambda name: -rest[name])
    return now


def over_budget(recipes: Recipes, found: Quote) -> list[str]:
    """A line for each budget that what is owed would exceed."""
    budget, lines = recipes.config.budget, []
    costs, hours = found.spent_usd + found["usd"].owed, found["gpu_hours"]
    if budget.usd is not None and found["usd"].owed and costs > budget.usd:
        lines.append(
            f"budget.usd: this run would cost about ${found['usd'].owed:.2f}, ${found.spent_usd:.2f} are spent "
            f"already, and {budget.usd:g} are allowed; raise it or ask for less (`make plan`)"
        )
    if budget.gpu_hours is not None and hours.owed and hours.total > budget.gpu_hours:
        lines.append(
            f"budget.gpu_hours: this run would take about {hours.owed:.1f} GPU-hours, "
            f"{hours.total - hours.owed:.1f} are done already, "
            f"and {budget.gpu_hours:g} are allowed; raise it or ask for less (`make plan`)"
        )
    return lines


@cache
def prices() -> dict[str, Any]:
    """The price table that comes with litellm, read without importing it."""
    found = importlib.util.find_spec("litellm")
    assert found and found.submodule_search_locations
    path = Path(found.submodule_search_locations[0]) / "model_prices_and_context_window_backup.json"
    return dict(json.loads(path.read_text(encoding="utf-8")))


def price(model: str, batch: bool = False) -> tuple[float, float] | None:
    """US dollars per token in and out of a litellm model; None where the table has none.

    >>> price("openai/gpt-4-turbo"), price("mixmerge/rules"), price("nobody/nothing")
    ((1e-05, 3e-05), (0.0, 0.0), None)
    """
    if model.startswith(RULES):
        return 0.0, 0.0
    entry = prices().get(model) or prices().get(model.partition("/")[2])
    if not entry or "input_cost_per_token" not in entry:
        return None
    ways = [float(entry[f"{way}_cost_per_token"]) for way in IN_OUT]
    if batch:
        halves = [BATCH * way for way in ways]
        ways = [
            float(entry.get(f"{way}_cost_per_token_batches", half)) for way, half in zip(IN_OUT, halves, strict=True)
        ]
    return ways[0], ways[1]


def _brief(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    """Seconds or minutes, on a CPU."""
    return Job()


def _training(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    model = artifact.recipe["names"]["model"]
    learned = work_counts.learning(recipes.experiment, model)
    amounts = {"trainings": 1, "steps": learned.steps, "tokens": learned.tokens}
    gpus, hours = sizes.gpus("train", model), sizes.hours("train", model)
    return Job(gpus, hours, amounts=amounts, notes=_unstated("training", gpus, hours))


def _merge(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    return Job(hours=sizes.hours("merge", artifact.recipe["names"]["model"]), amounts={"merges": 1})


def _answers(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    model, suite = artifact.recipe["names"]["model"], artifact.path.stem
    count = work_counts.prompts(recipes.experiment, suite)
    gpus, hours = sizes.gpus("generate", model), sizes.hours("generate", model)
    notes = _unstated("generation", gpus, hours)
    if count is None:
        file = f"results/{recipes.config.experiment}/data/suites/{suite}.parquet"
        notes += (f"suites.{suite}: only its rows tell how many prompts it has; they count once {file} is there",)
    every = work_counts.answers(recipes.experiment, recipes.answered_suites())
    share = (count or 0) / every if every else 0.0
    return Job(gpus, None if hours is None else hours * share, amounts={"completions": count or 0}, notes=notes)


def _judgment(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    names, lengths, work = artifact.recipe["names"], recipes.config.lengths, artifact.recipe["work"]
    judge = recipes.config.judges[names["judge"]]
    count = work_counts.questions(recipes.experiment, Judged(names["judge"], names["model"], names["suite"]))
    if judge.model.startswith(RULES):
        return Job(amounts={"calls": count})
    answer = min(lengths.answer, recipes.config.generation.max_new_tokens)
    shown = 2 * answer if work["metric"] == "preference" else answer
    told = _size(work["prompt"]) + lengths.prompt + shown
    said = min(lengths.verdict, judge.max_tokens)
    each = price(judge.model, bool(getattr(judge, "batch", False)))
    notes = () if each else (f"judges.{names['judge']}: litellm knows no price of {judge.model}; it counts as free",)
    usd = count * (each[0] * told + each[1] * said) if each else 0.0
    minutes = [count * LATENCY / 60 / judge.concurrency]
    minutes += [count / judge.rpm] if judge.rpm else []
    minutes += [count * (told + said) / judge.tpm] if judge.tpm else []
    return Job(hours=max(minutes) / 60, judges=True, amounts={"calls": count, "usd": usd}, notes=notes)


def _synthesis(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    """Of each seed and variant a prompt is written, answered by every completer, and each answer judged."""
    if artifact.path.parent.name != "sources":
        return Job()  # its yields, which come with the rows
    config, work = recipes.config, artifact.recipe["work"]
    seeds = work_counts.seeds(recipes.experiment, artifact.label)
    if seeds is None:
        return Job(notes=(f"sources.{artifact.label}: what it asks counts once the rows of its seeds are there",))
    count, lengths, usd, notes = seeds * work["variants"], config.lengths, 0.0, []
    asked = [(work["rephraser"], _size(work["prompt"]) + lengths.prompt, lengths.prompt)]
    for completer in work["completers"]:
        answer = min(lengths.answer, completer["max_tokens"])
        asked.append((completer, lengths.prompt, answer))
        asked.append((work["judge"], _size(work["judge"]["harm"]) + lengths.prompt + answer, lengths.verdict))
    for model, told, said in asked:
        each = price(model["model"])
        usd += count * (each[0] * told + each[1] * min(said, model["max_tokens"])) if each else 0.0
        notes += [] if each else [f"{model['key']}: litellm knows no price of {model['model']}; it counts as free"]
    most = max(config.llms[work["rephraser"]["key"]].concurrency, 1)
    hours = count * len(asked) * LATENCY / 3600 / most
    return Job(hours=hours, judges=True, amounts={"calls": count * len(asked), "usd": usd}, notes=tuple(notes))


def _translation(recipes: Recipes, sizes: Requirements, artifact: Artifact) -> Job:
    """A translator's speed is not stated anywhere, so its hours are not known."""
    if artifact.path.parent.name != "sources":
        return Job()  # its quality, which comes with the rows
    return Job(notes=(f"sources.{artifact.label}: translating it is in no figure here",))


def _size(text: str) -> float:
    """Tokens of a prompt file."""
    return len(text.encode()) / BYTES_PER_TOKEN


def _unstated(key: str, gpus: int, hours: float | None) -> tuple[str, ...]:
    return (f"machine.{key}: is not stated, so hours of GPUs there are not counted",) if gpus and hours is None else ()


# rule -> its job; what is not named takes minutes and no GPU
STAGES: dict[str, Callable[[Recipes, Requirements, Artifact], Job]] = {
    "train": _training,
    "merge": _merge,
    "generate": _answers,
    "judge": _judgment,
    "compare": _judgment,
    "calibrate": _judgment,
    "synthesise": _synthesis,
    "translate": _translation,
}


def _disk(recipes: Recipes, sizes: Requirements, gpus: int) -> tuple[float, float]:
    """Bytes of weights: what stays, and at most, with checkpoints and temporary merges.

    As many trainings and merges are taken to be at work at once as there are GPUs; of temporary merges, besides, as
    many wait as may.
    """
    exp, config = recipes.experiment, recipes.config
    temporary = [sizes.weights(name) for name in exp.models if exp.temporary(name)] * len(config.seeds)
    kept = len(config.seeds) * sum(sizes.weights(name) for name in exp.models if not exp.temporary(name))
    trained = [name for name, model in exp.models.items() if isinstance(model.row, Train)]
    most = max(1, gpus // max([1, *(sizes.gpus("train", name) for name in trained)]))
    extra = sorted((sizes.disk("train", name) - sizes.weights(name) for name in trained), reverse=True)
    checkpoints = sum((extra * len(config.seeds))[:most])
    waiting = config.machine.waiting_merges
    held = len(temporary) if waiting is None else min(len(temporary), waiting + max(1, gpus))
    return kept, kept + max(checkpoints, sum(sorted(temporary, reverse=True)[:held]))


def _is_current(recipes: Recipes, artifact: Artifact) -> bool:
    """Whether a source is not older than the user's file that it was read from."""
    file = artifact.recipe["work"].get("file") if artifact.rule == "source" else None
    return not file or not Path(file).exists() or Path(file).stat().st_mtime <= artifact.path.stat().st_mtime


def show(recipes: Recipes, found: Quote) -> Table:
    """A quote as a table."""
    lengths = recipes.config.lengths
    table = Table(
        title=f"{recipes.config.experiment}: what it costs",
        caption=f"assumed tokens: {lengths.prompt} of a prompt, {lengths.answer} of an answer, {lengths.verdict} of a "
        f"verdict (`lengths`); a GPU does {recipes.config.machine.training or '?'} tokens/s in training and "
        f"{recipes.config.machine.generation or '?'} in answers (`machine`); prices by litellm's table. "
        "Owed is an upper bound: what the store or the ledger has costs nothing",
    )
    for heading, justify in (("", "left"), ("in all", "right"), ("done", "right"), ("owed", "right")):
        table.add_column(heading, justify=justify)  # type: ignore[arg-type]
    for name, row in found.rows.items():
        spec = ",.2f" if name == "usd" else ",.1f" if name == "gpu_hours" else ",.0f"
        table.add_row(row.what, *(format(value + 0.0, spec) for value in (row.total, row.total - row.owed, row.owed)))
    table.add_section()
    table.add_row("US dollars spent, by the ledger", f"{found.spent_usd:,.2f}")
    table.add_row("disk kept, GB", f"{found.kept_bytes / 1e9:,.1f}")
    table.add_row("disk at most, GB", f"{found.peak_bytes / 1e9:,.1f}")
    hours = "not known" if found.wall_hours is None else f"{found.wall_hours:,.1f}"
    table.add_row(f"hours from now, with {found.gpus} GPUs", "", "", hours)
    return table


def main(arguments: list[str]) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="plan", description=__doc__)
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("--gpus", type=int, help="that work at once; default: those of one node")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args(arguments)
    if not given.config.is_file():
        raise UserError(f"{given.config}: no such file; name the experiment's config")
    recipes = Recipes(table_of_models.load(reading.read(given.config)))
    found = quote(recipes, given.gpus)
    if given.json:
        print(json.dumps(asdict(found), indent=1))
        return
    console = Console(width=110, highlight=False)
    console.print(show(recipes, found))
    for line in [*found.notes, *over_budget(recipes, found)]:
        console.print(line, soft_wrap=True, markup=False)
