"""Language models in settings: what they are asked with, and apart from it how they are reached."""

from typing import Any

from workflow_scripts.config.fields import executing
from workflow_scripts.config.judging import LLM
from workflow_scripts.experiment.stages._base import Settings, results_of
from workflow_scripts.experiment.table_of_models import Experiment


def asked_with(llm: LLM) -> Settings:
    """What every request to a language model carries; a judge's prompts and faults are no part of it.

    Two stages that ask the same must find one another's answers in the ledger, so both take all of it from here.
    """
    names = LLM.model_fields.keys()
    return Settings(*({name: value for name, value in part.items() if name in names} for part in results_of(llm)))


def reached(llm: LLM, experiment: Experiment) -> dict[str, Any]:
    """How a language model is reached, and what may be spent on all of them: not what it says."""
    return executing(llm) | {"budget": experiment.config.budget.usd}
