"""Tables, figures, and the statistics behind them."""

from typing import Annotated, Literal

from workflow_scripts.config.fields import execution, result, structure
from workflow_scripts.config.section import Name, Names, Section
from workflow_scripts.metrics.measures import MEASURES

Rows = dict[str, str | dict[str, str]]


class TableItem(Section):
    """A table of the paper, or one's own; `tables` describes its parts."""

    kind: Literal["cells", "contrasts", "verdicts", "judges", "corrected"] = result("cells", neutral="cells")
    caption: Annotated[str, result()]
    rows: Rows = structure({}, description="label -> model, or label -> {column group: model}")
    contrasts: list[str] | None = structure(
        None, min_length=1, description="default: all that are declared (contrasts, verdicts)"
    )
    metrics: list[str] = result(
        ["harm", "win"], neutral=["harm", "win"], min_length=1, description=f"of {', '.join(MEASURES)}"
    )
    by: Literal["pooled", "language", "scope", "category"] = result("pooled", neutral="pooled")
    languages: Names | None = result(None, neutral=None, description="default: the experiment's")
    reference: str | None = result(None, neutral=None, description="label of the row that others are compared with")
    judge: Name | None = structure(None, description="default: the first of `judges`")
    suites: Names | None = structure(None, description="read only these; default: all that its metrics read")


class FigureItem(Section):
    """A figure of the paper, or one's own; `figures` describes its parts."""

    kind: Annotated[Literal["bars", "languages", "sweep", "curves"], result()]
    caption: Annotated[str, result()]
    rows: Annotated[Rows, structure(min_length=1, description="label -> model, or label -> {group: model}")]
    metrics: list[str] = result(
        ["harm", "win"],
        neutral=["harm", "win"],
        min_length=1,
        description=f"of {', '.join(MEASURES)}; curves: what trainers log",
    )
    languages: Names | None = result(None, neutral=None, description="default: the experiment's")
    reference: str | None = result(None, neutral=None, description="label of the row that others are compared with")
    x: dict[str, float] = result({}, neutral={}, description="label -> position on the x axis (sweep)")
    xlabel: str = result("", neutral="", description="of the x axis (sweep)")
    colors: dict[str, str] = result({}, neutral={}, description="label -> colour (sweep: group -> colour)")
    judge: Name | None = structure(None, description="default: the first of `judges`")
    suites: Names | None = structure(None, description="read only these; default: all that its metrics read")


class Bootstrap(Section):
    """The resampling behind every interval."""

    resamples: int = result(2000, neutral=2000, ge=100)
    seed: int = result(0, neutral=0)


class Assumption(Section):
    """What a plan must assume of two models' answers to one prompt before there are any."""

    variance: Annotated[
        float,
        execution(
            gt=0,
            le=1,
            description="of a prompt's paired difference; yes or no: the share of prompts where models differ",
        ),
    ]
    correlation: float = execution(
        0.3, neutral=0.3, ge=0, lt=1, description="of that difference between translations of one prompt"
    )
    baseline: float = execution(
        1.0, neutral=1.0, gt=0, le=1, description="the baseline's rate, for metrics relative to it"
    )
    seed_sd: float = execution(
        0.0, neutral=0.0, ge=0, description="points; sd over seeds of the difference between two trainings"
    )
    matters: Annotated[
        float, result(gt=0, description="points; what cannot show so small a difference is marked everywhere")
    ]


class Power(Section):
    """What a claim needs: before a run for its plan, after it for the marks."""

    alpha: float = result(0.05, neutral=0.05, gt=0, lt=1)
    power: float = execution(0.8, neutral=0.8, gt=0, lt=1)
    harm: Assumption = result(
        Assumption(variance=0.2, correlation=0.3, baseline=0.5, seed_sd=3.0, matters=7.0),
        neutral=Assumption(variance=0.2, correlation=0.3, baseline=0.5, seed_sd=3.0, matters=7.0),
    )
    win: Assumption = result(
        Assumption(variance=0.2, correlation=0.3, seed_sd=1.0, matters=4.0),
        neutral=Assumption(variance=0.2, correlation=0.3, seed_sd=1.0, matters=4.0),
    )
