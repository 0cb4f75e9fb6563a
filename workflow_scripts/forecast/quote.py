"""What an experiment costs before it is run, from its config alone, and what of it is done already.

Every figure is arithmetic on the config and on what it states: throughputs (`machine`), lengths of texts (`lengths`),
and the price table that comes with litellm; where something was made before, its record says how long it took.  An
artifact is done where it lies as its recipe says, and so does all that it was made from; the rest is an upper bound,
for the store and the ledger may have parts of it.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from workflow_scripts.base.errors import UserError
from workflow_scripts.base.job import STORE, read_record
from workflow_scripts.config.models import Train
from workflow_scripts.experiment import provenance
from workflow_scripts.experiment.artifacts import Artifact, Artifacts
from workflow_scripts.forecast import prices, work_counts
from workflow_scripts.forecast.resources import Requirements
from workflow_scripts.forecast.schedule import Job, wall
from workflow_scripts.llm import ledger
from workflow_scripts.llm.request import RULES

LEDGER = STORE / "judgments"
BYTES_PER_TOKEN = 4  # of a judge's prompt
LATENCY = 2.0  # seconds of a judge's answer, where no limit of the provider is stated

KINDS = {
    "jobs": "jobs",
    "trainings": "trainings",
    "steps": "optimizer steps",
    "tokens": "training tokens",
    "merges": "merges",
    "completions": "completions",
    "calls": "questions to language models",
    "gpu_hours": "GPU-hours",
    "usd": "US dollars",
}


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


def quote(found: Artifacts, gpus: int | None = None) -> Quote:
    """What an experiment costs.

    Args:
        found: its artifacts.
        gpus: how many work at once; default: those of one node.

    Raises:
        UserError: a job needs more GPUs than there are.
    """
    sizes = Requirements(found.experiment)
    gpus = gpus or found.experiment.config.machine.gpus_per_node
    rows, notes = {name: Row(what) for name, what in KINDS.items()}, dict[str, None]()
    is_done, jobs = provenance.current(found), dict[str, Job]()
    work = [(artifact, WORK.get(artifact.stage.command, _brief)(found, sizes, artifact)) for artifact in found.all]
    for artifact, job in _as_measured(work):
        if job.gpus > (gpus or job.gpus):
            raise UserError(
                f"{artifact.label}: needs {job.gpus} GPUs, and there are {gpus}; say GPUS={job.gpus} or more"
            )
        done = is_done(artifact)
        for name, amount in {**job.amounts, "gpu_hours": (job.hours or 0.0) * job.gpus, "jobs": 1}.items():
            rows[name].add(amount, done)
        notes |= dict.fromkeys(job.notes)
        job = job._replace(hours=0.0, gpus=0, judges=False) if done else job
        jobs[str(artifact.path)] = job._replace(needs=tuple(str(need.path) for need in found.made_from(artifact)))
    kept, peak = _disk(found, sizes, gpus)
    spent = ledger.spent(LEDGER) if LEDGER.is_dir() else 0.0
    return Quote(rows, spent, kept, peak, gpus, wall(jobs, gpus), [*notes, *sizes.unknown()])


def _as_measured(work: list[tuple[Artifact, Job]]) -> Iterator[tuple[Artifact, Job]]:
    """Jobs with the hours that they took before, or, where none are stated, those of others like them made before."""
    taken: dict[Path, float] = {}
    rates: dict[str, float] = {}  # hours by amount of work
    for artifact, job in work:
        made = read_record(artifact.record)
        if _amount(job) and job.hours != 0.0 and made and made["recipe"]["settings"] == artifact.recipe.settings:
            taken[artifact.path] = made["seconds"] / 3600
            rates[artifact.stage.command] = taken[artifact.path] / _amount(job)
    for artifact, job in work:
        rate = rates.get(artifact.stage.command) if job.hours is None else None
        hours = taken.get(artifact.path, rate and rate * _amount(job))
        yield artifact, job if hours is None else job._replace(hours=hours, notes=())


def _amount(job: Job) -> float:
    """What the time of a job grows with."""
    return sum(job.amounts.get(kind, 0) for kind in ("tokens", "completions"))


def over_budget(found: Artifacts, costs: Quote) -> list[str]:
    """A line for each budget that what is owed would exceed."""
    budget, lines = found.experiment.config.budget, []
    usd, hours = costs["usd"], costs["gpu_hours"]
    if budget.usd is not None and usd.owed and costs.spent_usd + usd.owed > budget.usd:
        lines.append(
            f"budget.usd: this run would cost about ${usd.owed:.2f}, ${costs.spent_usd:.2f} are spent "
            f"already, and {budget.usd:g} are allowed; raise it or ask for less (`make plan`)"
        )
    if budget.gpu_hours is not None and hours.owed and hours.total > budget.gpu_hours:
        lines.append(
            f"budget.gpu_hours: this run would take about {hours.owed:.1f} GPU-hours, "
            f"{hours.total - hours.owed:.1f} are done already, "
            f"and {budget.gpu_hours:g} are allowed; raise it or ask for less (`make plan`)"
        )
    return lines


def _brief(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    """Seconds or minutes, on a CPU."""
    return Job()


def _training(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    model = artifact.wildcards["model"]
    learned = work_counts.learning(found.experiment, model)
    amounts = {"trainings": 1, "steps": learned.steps, "tokens": learned.tokens}
    gpus, hours = sizes.gpus("train", model), sizes.hours("train", model)
    return Job(gpus, hours, amounts=amounts, notes=_unstated("training", gpus, hours))


def _merge(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    return Job(hours=sizes.hours("merge", artifact.wildcards["model"]), amounts={"merges": 1})


def _answers(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    model, counts = artifact.wildcards["model"], work_counts.by_suite(found.experiment)
    gpus, hours = sizes.gpus("generate", model), sizes.hours("generate", model)
    notes = _unstated("generation", gpus, hours) + tuple(
        f"suites.{suite}: only its rows say how many prompts it has; they count once they are there"
        for suite, count in counts.items()
        if count is None
    )
    return Job(gpus, hours, amounts={"completions": sum(count or 0 for count in counts.values())}, notes=notes)


def _judgment(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    config, settings, about = found.experiment.config, artifact.settings.all, artifact.entry.inputs
    judge, lengths = config.judges[about["judge"]], config.lengths
    compares = about["baseline"] is not None
    count = (2 if compares else 1) * (work_counts.prompts(found.experiment, about["suite"]) or 0)
    if judge.model.startswith(RULES):
        return Job(amounts={"calls": count})
    answer = min(lengths.answer, config.generation.max_new_tokens)
    shown = _size(settings["prompt"]) + lengths.prompt + (2 * answer if compares else answer)
    said = min(lengths.verdict, judge.max_tokens)
    each = prices.price(judge.model, judge.batch)
    notes = () if each else (f"judges.{about['judge']}: litellm knows no price of {judge.model}; it counts as free",)
    usd = count * (each[0] * shown + each[1] * said) if each else 0.0
    minutes = [count * LATENCY / 60 / judge.concurrency]
    minutes += [count / judge.rpm] if judge.rpm else []
    minutes += [count * (shown + said) / judge.tpm] if judge.tpm else []
    return Job(hours=max(minutes) / 60, judges=True, amounts={"calls": count, "usd": usd}, notes=notes)


def _synthesis(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    """Of each seed and variant a prompt is written, answered by every completer, and each answer judged."""
    config, settings, source = found.experiment.config, artifact.settings.all, artifact.wildcards["source"]
    seeds = work_counts.seeds(found.experiment, source)
    if seeds is None:
        return Job(notes=(f"sources.{source}: what it asks counts once the rows of its seeds are there",))
    count, lengths, usd, notes = seeds * settings["variants"], config.lengths, 0.0, []
    most = config.llms | config.judges
    asked = [(settings["rephraser"], _size(settings["prompt"]) + lengths.prompt, lengths.prompt)]
    for completer in settings["completers"]:
        answer = min(lengths.answer, most[completer["key"]].max_tokens)
        asked.append((completer, lengths.prompt, answer))
        asked.append((settings["judge"], _size(settings["judge"]["harm"]) + lengths.prompt + answer, lengths.verdict))
    for model, shown, said in asked:
        each = prices.price(model["model"])
        usd += count * (each[0] * shown + each[1] * min(said, most[model["key"]].max_tokens)) if each else 0.0
        notes += [] if each else [f"{model['key']}: litellm knows no price of {model['model']}; it counts as free"]
    hours = count * len(asked) * LATENCY / 3600 / max(config.llms[settings["rephraser"]["key"]].concurrency, 1)
    return Job(hours=hours, judges=True, amounts={"calls": count * len(asked), "usd": usd}, notes=tuple(notes))


def _translation(found: Artifacts, sizes: Requirements, artifact: Artifact) -> Job:
    """A translator's speed is not stated anywhere, so its hours are not known."""
    return Job(notes=(f"sources.{artifact.label}: translating it is in no figure here",))


def _size(text: str) -> float:
    """Tokens of a prompt file."""
    return len(text.encode()) / BYTES_PER_TOKEN


def _unstated(key: str, gpus: int, hours: float | None) -> tuple[str, ...]:
    return (f"machine.{key}: is not stated, so hours of GPUs there are not counted",) if gpus and hours is None else ()


# command -> its work; what is not named takes minutes and no GPU
WORK: dict[str, Callable[[Artifacts, Requirements, Artifact], Job]] = {
    "train": _training,
    "merge": _merge,
    "generate": _answers,
    "judge": _judgment,
    "synthesise": _synthesis,
    "translate": _translation,
}


def _disk(found: Artifacts, sizes: Requirements, gpus: int) -> tuple[float, float]:
    """Bytes of weights: what stays, and at most, with checkpoints and temporary merges.

    As many trainings and merges are taken to be at work at once as there are GPUs; of temporary merges, besides, as
    many wait as may.
    """
    exp, config = found.experiment, found.experiment.config
    temporary = [sizes.weights(name) for name in exp.models if exp.temporary(name)] * len(config.seeds)
    kept = len(config.seeds) * sum(sizes.weights(name) for name in exp.models if not exp.temporary(name))
    trained = [name for name, model in exp.models.items() if isinstance(model.row, Train)]
    most = max(1, gpus // max([1, *(sizes.gpus("train", name) for name in trained)]))
    extra = sorted((sizes.disk("train", name) - sizes.weights(name) for name in trained), reverse=True)
    checkpoints = sum((extra * len(config.seeds))[:most])
    waiting = config.machine.waiting_merges
    held = len(temporary) if waiting is None else min(len(temporary), waiting + max(1, gpus))
    return kept, kept + max(checkpoints, sum(sorted(temporary, reverse=True)[:held]))
