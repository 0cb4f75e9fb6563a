"""Checks of tables and figures."""

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.models import Train
from workflow_scripts.config.paper import FigureItem, TableItem
from workflow_scripts.experiment import checks
from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.experiment.model import Model
from workflow_scripts.metrics.measures import MEASURES
from workflow_scripts.paper import published


def check(config: Config, models: dict[str, Model], errors: Errors) -> None:
    """Check every table and figure: what its rows name, and whether there are scores of its metrics."""
    for name, table in config.tables.items():
        at = f"tables.{name}"
        _check_item(at, table, config, models, errors)
        _check_metrics(at, table, config, errors)
        if table.kind in ("cells", "corrected") and not table.rows:
            errors.add(f"{at}.rows", "is empty; add one, or remove the table")
        if "direct" in table.metrics and table.kind not in ("contrasts", "verdicts"):
            errors.add(f"{at}.metrics", "'direct' compares the two sides of a contrast; make it a table of contrasts")
        if table.kind in ("contrasts", "verdicts") and not config.contrasts and errors.complete("contrasts"):
            errors.add("contrasts", f"is empty, but {at} prints them; declare one, or remove the table")
        for contrast in table.contrasts or []:
            errors.known(f"{at}.contrasts", contrast, "contrasts", config.contrasts, "contrast")
    for name, figure in config.figures.items():
        at = f"figures.{name}"
        _check_item(at, figure, config, models, errors)
        if figure.kind != "curves":
            _check_metrics(at, figure, config, errors)
        groups = {group for cells in figure.rows.values() if isinstance(cells, dict) for group in cells}
        labels = [*figure.rows, *groups, *(f"{row}, {group}" for row in figure.rows for group in groups)]
        for label in figure.x:
            errors.known(f"{at}.x", label, "", figure.rows, "row")
        for label in figure.colors:
            errors.known(f"{at}.colors", label, "", labels, "row or group")
        for label in figure.rows if figure.kind == "sweep" else []:
            if label != figure.reference and label not in figure.x and not _is_number(label):
                errors.add(f"{at}.x", f"no position for row '{label}'; add it, or make the label a number")
        if "direct" in figure.metrics:
            errors.add(f"{at}.metrics", "'direct' compares the two sides of a contrast; print it in a table of them")
    if config.reproduces:
        try:
            published.read(published.PUBLISHED / f"{config.reproduces}.yaml")
        except UserError as error:
            errors.add("reproduces", str(error))


def _check_item(
    at: str, item: TableItem | FigureItem, config: Config, models: dict[str, Model], errors: Errors
) -> None:
    """What tables and figures have in common."""
    for label, cells in item.rows.items():
        for model in [cells] if isinstance(cells, str) else cells.values():
            row = f"{at}.rows.{label}"
            if item.kind != "curves":
                checks.evaluated(row, model, models, errors)
            elif errors.known(row, model, "models", models, "model") and not isinstance(models[model].row, Train):
                errors.add(row, f"'{model}' is not trained, so it has no curve; name one that is")
    if item.reference is not None:
        errors.known(f"{at}.reference", item.reference, "", item.rows, "row")
    if item.judge is not None:
        errors.known(f"{at}.judge", item.judge, "judges", config.judges, "judge")
    checks.languages(at, item.languages, config.languages, errors)


def _check_metrics(at: str, item: TableItem | FigureItem, config: Config, errors: Errors) -> None:
    for suite in item.suites or []:
        errors.known(f"{at}.suites", suite, "suites", config.suites, "suite")
    asked = {suite.metric for name, suite in config.suites.items() if name in (item.suites or config.suites)}
    for metric in item.metrics:
        known = errors.known(f"{at}.metrics", metric, "", MEASURES, "metric")
        if known and MEASURES[metric].metric not in {*asked, None} and errors.complete("suites"):
            errors.add(f"{at}.metrics", f"'{metric}' needs a suite of metric {MEASURES[metric].metric}; add one")


def _is_number(label: str) -> bool:
    try:
        float(label)
    except ValueError:
        return False
    return True
