"""Checks of judges."""

from workflow_scripts.config.experiment import Config
from workflow_scripts.experiment import checks
from workflow_scripts.experiment.config_errors import Errors
from workflow_scripts.experiment.model import Model
from workflow_scripts.llm.batches import PROVIDERS
from workflow_scripts.llm.prompts import Holds
from workflow_scripts.llm.request import RULES
from workflow_scripts.metrics import METRICS


def check(config: Config, models: dict[str, Model], errors: Errors) -> None:
    """Check every judge: its prompts, what it is asked about, and what only some judges can."""
    for name, judge in config.judges.items():
        at = f"judges.{name}"
        for prompt in sorted({metric.prompt for metric in METRICS.values()}):
            checks.prompt(f"{at}.{prompt}", getattr(judge, prompt), _holds(prompt), errors)
        for model in judge.models or []:
            checks.evaluated(f"{at}.models", model, models, errors)
        if judge.batch and judge.model.split("/")[0] not in PROVIDERS and "/" in judge.model:
            errors.add(f"{at}.batch", f"only {', '.join(PROVIDERS)} take batches of OpenAI's form; remove it")
        if judge.faults:
            if not judge.model.startswith(RULES):
                errors.add(f"{at}.faults", "only mixmerge/rules can be given faults; remove them")
            for language in {**judge.faults.sensitivity, **judge.faults.specificity}:
                errors.known(f"{at}.faults", language, "languages", config.languages, "language")


def _holds(prompt: str) -> Holds:
    """What a judge's prompt must hold for the metrics that are asked for by it."""
    metrics = [metric for metric in METRICS.values() if metric.prompt == prompt]
    texts = {tag: None for metric in metrics for question in metric.questions for tag in question.texts}
    return Holds(texts, answer=metrics[0].field)
