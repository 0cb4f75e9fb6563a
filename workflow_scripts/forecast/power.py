"""Command: what the configured suites will be able to show, before anything runs.

The smallest difference between two models that a test over prompts finds with the stated power, and, where several
seeds are planned, the smallest that a test over seeds does; a claim needs both.
"""

import math
from pathlib import Path

import pyarrow as pa
from rich.console import Console
from rich.table import Table

from workflow_scripts.config.experiment import Config
from workflow_scripts.config.paper import Assumption
from workflow_scripts.data import source, suite
from workflow_scripts.experiment import options
from workflow_scripts.statistics.cell import detectable


def standard_error(prompts: float, clusters: int, variance: float, correlation: float) -> float:
    """Of the mean paired difference of outcomes between two models.

    Args:
        prompts: how many, translations counted.
        clusters: source prompts that they come from.
        variance: of one prompt's difference.
        correlation: of the differences of two translations of one prompt.

    Source: the design effect 1 + (m - 1) * correlation of clusters of m (Kish 1965, section 5.4).

    >>> standard_error(600, 100, 0.24, 0.0), round(standard_error(600, 100, 0.24, 0.2), 6)
    (0.02, 0.028284)
    """
    return math.sqrt(variance / prompts * (1 + (prompts / clusters - 1) * correlation))


def smallest_over_seeds(seeds: int, sd: float, alpha: float, power: float) -> float | None:
    """The smallest difference that a t test over seeds finds with a power; None for one seed, which finds none.

    By scipy's noncentral t.  statsmodels 0.15 has `TTestPower().solve_power`, but where its power is NaN it returns
    another number and no warning: of 3 seeds, at 0.05 / 6, it makes 6.85 standard deviations of what are 8.02.
    Source: Cohen 1988, section 2.5.
    """
    from scipy import optimize, stats

    if seeds < 2:
        return None
    critical = stats.t.isf(alpha / 2, seeds - 1)

    def lack(noncentrality: float) -> float:
        return float(stats.nct.sf(critical, seeds - 1, noncentrality)) - power

    top = 1.0
    while lack(top) < 0:
        top *= 2
    return float(optimize.brentq(lack, 0, top)) * sd / math.sqrt(seeds)


def plan(config: Config) -> list[dict[str, object]]:
    """For each suite that is judged, by language and pooled: prompts, clusters, and what they can show, in points.

    The level is that of the first step of Holm's correction for all declared contrasts on two axes, the hardest.

    Raises:
        UserError: rows of a suite cannot be made yet.
    """
    power, lines = config.power, []
    family = max(1, 2 * len(config.contrasts))
    for name, chosen in config.suites.items():
        if chosen.metric not in ("harm", "preference"):
            continue
        metric = "harm" if chosen.metric == "harm" else "win"
        assumed: Assumption = getattr(power, metric)
        rows = _prompts(config, name)
        languages = list(dict.fromkeys(rows["language"].to_pylist()))
        for split, among in [*((code, [code]) for code in languages), ("pooled", languages)]:
            kept = [row for row in rows.to_pylist() if row["language"] in among]
            clusters = len({row["source_prompt_id"] for row in kept})
            error = standard_error(len(kept), clusters, assumed.variance, assumed.correlation)
            scale = 100 / assumed.baseline if metric == "harm" else 100
            sd = assumed.seed_sd * (math.sqrt(len(languages) / len(among)))
            alone = scale * detectable(error, power.alpha, power.power)
            lines.append(
                {
                    "suite": name, "metric": metric, "language": split, "prompts": len(kept), "clusters": clusters,
                    "alone": alone, "declared": scale * detectable(error, power.alpha / family, power.power),
                    "seeds": smallest_over_seeds(len(config.seeds), sd, power.alpha / family, power.power),
                    "matters": assumed.matters, "enough": alone <= assumed.matters,
                }
            )  # fmt: skip
    return lines


def _prompts(config: Config, name: str) -> pa.Table:
    """The prompts of a suite as its rules would choose them."""
    chosen = config.suites[name]
    settings = config.sources[chosen.source].model_dump()
    languages = settings.pop("languages", None) or config.languages
    file = Path(settings["file"]) if "file" in settings else None
    rows = source.rows({**settings, "languages": languages, "name": chosen.source}, file)
    work = {**chosen.model_dump(exclude={"metric", "answers_in"}), "languages": chosen.languages or config.languages}
    return suite.choose(work, rows)


def main(arguments: list[str]) -> None:
    """Command line."""
    config = options.experiment("power", __doc__, arguments).experiment.config
    family = max(1, 2 * len(config.contrasts))
    table = Table(
        title=f"Smallest detectable difference, points, with a power of {config.power.power:.0%}",
        caption=f"one test: at {config.power.alpha:g}; declared: as the first of {family} tests (Holm); over seeds: "
        f"a t test of {len(config.seeds)}. A claim needs both. § cannot show what matters (`power` in the config)",
    )
    for heading in ("suite", "metric", "language"):
        table.add_column(heading)
    for heading in ("prompts", "source prompts", "one test", "declared", "over seeds", "matters"):
        table.add_column(heading, justify="right")
    for line in plan(config):
        seeds = line["seeds"]
        table.add_row(
            *(str(line[key]) for key in ("suite", "metric", "language", "prompts", "clusters")),
            f"{line['alone']:.1f}" + ("" if line["enough"] else " §"), f"{line['declared']:.1f}",
            "not supported" if seeds is None else f"{seeds:.1f}", f"{line['matters']:g}",
        )  # fmt: skip
    Console(width=120).print(table)
