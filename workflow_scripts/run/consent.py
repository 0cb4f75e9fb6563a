"""Nothing costly is redone unasked: what only code or versions made stale, what it would cost, and the ways on."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import NamedTuple

from workflow_scripts.base import job
from workflow_scripts.experiment import kept, provenance
from workflow_scripts.experiment.artifacts import Artifact, Artifacts
from workflow_scripts.forecast.resources import Requirements

SHOWN = 8  # changes named


class Cost(NamedTuple):
    """What was recorded when artifacts were made."""

    gpu_hours: float = 0.0
    cpu_hours: float = 0.0  # of jobs without a GPU
    usd: float = 0.0


def question(found: Artifacts) -> list[str]:
    """What to ask before a run, in lines; none where there is nothing to ask.

    Raises:
        UserError: kept.json is not whole.
    """
    notes = kept.read(found.experiment)
    stale = {
        artifact.path: artifact
        for artifact, _ in kept.stale_by_code(found)
        # What was kept follows what is redone by consent, where that is another then.
        if notes["redone"].get(str(artifact.path)) != artifact.recipe.code and str(artifact.path) not in notes["kept"]
    }
    stale |= {artifact.path: artifact for artifact in _merged_again(found)}
    if not stale:
        return []
    redone = with_followers(found, list(stale.values()))
    spent, limit = recorded(found, redone), found.experiment.config.machine.ask_above
    if spent.gpu_hours <= limit.gpu_hours and spent.cpu_hours <= limit.cpu_hours and spent.usd <= limit.usd:
        return []
    stages = Counter(artifact.stage.command for artifact in redone)
    what = ", ".join(f"{count} of {stage}" for stage, count in stages.most_common())
    costs = f"{spent.gpu_hours:.1f} GPU-hours, {spent.cpu_hours:.1f} hours on CPUs, ${spent.usd:.2f}"
    lines = [f"code or versions changed, the experiment did not; this would be redone: {what} (it took {costs})"]
    lines += changes(list(stale.values()))
    units = sorted({artifact.units[0].partition(":")[0] for artifact in stale.values()})
    pattern = " ".join(f"{unit}*" for unit in units)
    return [
        *lines,
        f'keep what was made: make keep KEEP="{pattern}"; have it made again: make keep REDO="{pattern}"; '
        "a unit or pattern for each may be given, then run again (machine.ask_above says when this is asked)",
    ]


def _merged_again(found: Artifacts) -> Iterator[Artifact]:
    """Kept temporary merges whose weights are gone and needed again: what is here now would have to give the same."""
    is_current = provenance.current(found)
    for artifact in found.all:
        if artifact.pinned and artifact.stage.name == "merge_temporary" and kept.is_released(artifact):
            followers = [other for other in found.all if artifact in found.made_from(other)]
            if not all(map(is_current, followers)):
                yield artifact


def changes(stale: list[Artifact]) -> list[str]:
    """What changed from what to what, with how many artifacts have it."""
    counts: Counter[str] = Counter()
    for artifact in stale:
        made = provenance.carried(artifact)
        old, new = made.code if made else {}, artifact.recipe.code
        for name in new.keys() | old.keys():
            if old.get(name) != new.get(name):
                counts[f"{name}: {old.get(name, 'none')} is now {new.get(name, 'none')}"] += 1
    lines = [f"    {change} ({count} artifacts)" for change, count in sorted(counts.items())]
    return lines[:SHOWN] + ([f"    and {len(lines) - SHOWN} changes more"] if len(lines) > SHOWN else [])


def with_followers(found: Artifacts, first: list[Artifact]) -> list[Artifact]:
    """Artifacts, and all that lie there and were made from them."""
    followers: defaultdict[str, list[Artifact]] = defaultdict(list)
    for artifact in found.all:
        for needed in found.depends_on(artifact):
            followers[str(needed.path)].append(artifact)
    reached = {str(artifact.path): artifact for artifact in first}
    pending = list(first)
    for artifact in pending:
        for follower in followers[str(artifact.path)]:
            if str(follower.path) not in reached and follower.path.exists():
                reached[str(follower.path)] = follower
                pending.append(follower)
    return list(reached.values())


def recorded(found: Artifacts, artifacts: list[Artifact]) -> Cost:
    """What artifacts cost when they were made; those without a record cost nothing."""
    total, sizes = Cost(), Requirements(found.experiment)
    for artifact in artifacts:
        made = job.read_record(artifact.record)
        hours = made.get("seconds", 0.0) / 3600
        model = artifact.wildcards.get("model")
        gpus = sizes.gpus(artifact.stage.command, model) if model else 0
        own = Cost(hours * gpus, 0.0 if gpus else hours, made.get("usd", 0.0))
        total = Cost(*(mine + more for mine, more in zip(own, total, strict=True)))
    return total
