"""The types of the experiment file: strict, described by a schema that does not drift, and true to the libraries."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel, TypeAdapter, ValidationError

from workflow_scripts.config import experiment
from workflow_scripts.statistics import panel

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "config.schema.json"


def test_the_schema_in_the_repository_is_that_of_the_types():
    command = [sys.executable, "-m", "workflow_scripts.config.experiment"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    assert SCHEMA.read_text(encoding="utf-8") == printed, (
        "run: python -m workflow_scripts.config.experiment > config.schema.json"
    )


def test_every_section_of_the_schema_refuses_unknown_keys_but_a_row_that_is_expanded_later():
    sections = {"Config": json.loads(SCHEMA.read_text(encoding="utf-8"))}
    sections |= sections["Config"]["$defs"]
    is_open = {name for name, section in sections.items() if section.get("additionalProperties", True) is not False}
    assert is_open == {"ModelRow"}


def test_numbers_as_yaml_and_the_command_line_write_them_are_numbers():
    given = yaml.safe_load("{method: sft, batch_size: '8', learning_rate: 1e-3, max_length: 64}")
    assert given["learning_rate"] == "1e-3", "YAML 1.1 reads this as text"
    settings = experiment.Training.model_validate(given)
    assert (settings.batch_size, settings.learning_rate) == (8, 1e-3)


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", "-a", ".a", "ä", "a{b}", "a*"])
def test_names_are_safe_in_paths_patterns_and_shells(name):
    with pytest.raises(ValidationError):
        TypeAdapter(experiment.Name).validate_python(name)


@pytest.mark.parametrize("name", ["sft-mix15", "dare_ties", "a.b+c", "15"])
def test_usual_names_are_accepted(name):
    assert TypeAdapter(experiment.Name).validate_python(name) == name


def test_sections_do_not_change_after_they_are_read():
    suite = experiment.Suite.model_validate({"source": "redteam", "metric": "harm"})
    with pytest.raises(ValidationError, match="frozen"):
        suite.metric = "preference"


def test_every_section_says_what_it_is_for():
    for name, section in vars(experiment).items():
        if isinstance(section, type) and issubclass(section, BaseModel) and section is not BaseModel:
            assert section.__doc__, name


def test_metrics_are_those_of_the_statistics():
    assert {name: metric.kind or None for name, metric in panel.METRICS.items()} == experiment.METRICS


def test_architectures_have_fields_and_defaults_of_transformers():
    from transformers import CohereConfig

    theirs = CohereConfig.__dataclass_fields__
    for name, field in experiment.Architecture.model_fields.items():
        assert name in theirs, name
        if not field.is_required():
            assert getattr(theirs[name], "default", None) == field.default or field.default is None, name


def test_named_choices_are_those_of_the_libraries():
    from transformers.trainer_utils import SchedulerType
    from transformers.training_args import OptimizerNames
    from trl.trainer import dpo_config

    assert set(get_args(experiment.Scheduler)) <= {kind.value for kind in SchedulerType}
    assert set(get_args(experiment.Optimizer)) <= {kind.value for kind in OptimizerNames}
    documented = re.findall(r"`'(\w+)'`", Path(dpo_config.__file__).read_text(encoding="utf-8"))
    assert set(get_args(experiment.DpoLoss)) <= set(documented)


TRAINING = {"method": "dpo", "batch_size": 8, "learning_rate": 1e-3, "max_length": 64}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"accumulation": 3}, "batch_size 8 is not a multiple of accumulation 3$"),
        ({"accumulation": 2, "processes": 8}, "accumulation 2 times processes 8"),
        ({"weights": "bfloat16"}, "needs precision: bfloat16"),
        (
            {"weights": "bfloat16", "precision": "bfloat16", "processes": 2, "parallel": "fsdp"},
            "not kept under parallel: fsdp",
        ),
        ({"betas": [0.9, 1.0]}, "less than 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, told):
    experiment.Training.model_validate(TRAINING)
    with pytest.raises(ValidationError) as refused:
        experiment.Training.model_validate({**TRAINING, **changes})
    assert re.search(told, refused.value.errors()[0]["msg"])


def test_explicit_defaults_of_the_optimizer_are_transformers_own():
    from transformers import TrainingArguments

    settings, theirs = experiment.Training.model_validate(TRAINING), TrainingArguments.__dataclass_fields__
    assert settings.betas == (theirs["adam_beta1"].default, theirs["adam_beta2"].default)
    assert settings.epsilon == theirs["adam_epsilon"].default
