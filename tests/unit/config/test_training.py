"""Settings of a training go together, and are named as the libraries name them."""

import re
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import ValidationError

from workflow_scripts.config.fields import deciding
from workflow_scripts.config.training import SMOOTHED, DpoLoss, KtoLoss, Optimizer, Scheduler, Training


def test_numbers_as_yaml_and_the_command_line_write_them_are_numbers():
    given = yaml.safe_load("{method: sft, batch_size: '8', learning_rate: 1e-3, max_length: 64}")
    assert given["learning_rate"] == "1e-3", "YAML 1.1 reads this as text"
    settings = Training.model_validate(given)
    assert (settings.batch_size, settings.learning_rate) == (8, 1e-3)


def test_named_choices_are_those_of_the_libraries():
    from transformers.trainer_utils import SchedulerType
    from transformers.training_args import OptimizerNames
    from trl.trainer import dpo_config, kto_config

    assert set(get_args(Scheduler)) <= {kind.value for kind in SchedulerType}
    assert set(get_args(Optimizer)) <= {kind.value for kind in OptimizerNames}
    documented = re.findall(r"`'(\w+)'`", Path(dpo_config.__file__).read_text(encoding="utf-8"))
    assert set(get_args(DpoLoss)) <= set(documented)
    choices = kto_config.KTOConfig.__dataclass_fields__["loss_type"].metadata["choices"]
    assert set(get_args(KtoLoss)) == set(choices)


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
        ({"label_smoothing": 0.1}, "label_smoothing is not read by loss_type sigmoid, only by robust, exo_pair, aot"),
        ({"method": "sft", "label_smoothing": 0.1}, "label_smoothing is not read by method sft"),
        ({"loss_type": "kto"}, "loss_type kto is none of dpo; use one of sigmoid, "),
        ({"method": "kto", "loss_type": "sigmoid"}, "loss_type sigmoid is none of kto; use one of kto, apo_zero_un"),
        ({"method": "kto", "length_grouping": True}, "length_grouping would part answers"),
        ({"method": "kto", "accumulation": 8}, "kto needs two rows in a forward pass"),
        ({"warmup_steps": 1.5}, "warmup_steps 1.5 is neither a number of steps nor a share below 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, told):
    Training.model_validate(TRAINING)
    with pytest.raises(ValidationError) as refused:
        Training.model_validate({**TRAINING, **changes})
    assert re.search(told, refused.value.errors()[0]["msg"])


@pytest.mark.parametrize("loss_type", SMOOTHED)
def test_label_smoothing_is_taken_by_the_losses_that_read_it(loss_type):
    settings = Training.model_validate({**TRAINING, "loss_type": loss_type, "label_smoothing": 0.1})
    assert deciding(settings, "dpo")["label_smoothing"] == 0.1


def test_kto_has_a_loss_of_its_own_by_default():
    settings = Training.model_validate({**TRAINING, "method": "kto"})
    assert settings.loss_type == "kto" and deciding(settings, "kto")["loss_type"] == "kto"
    assert "loss_type" not in deciding(Training.model_validate(TRAINING), "dpo")


@pytest.mark.parametrize(("given", "read"), [("10", "10"), (10.0, "10"), (0.1, "0.1"), ("0.25", "0.25"), (0.0, "0")])
def test_warmup_is_a_number_of_steps_or_a_share(given, read):
    assert str(Training.model_validate({**TRAINING, "warmup_steps": given}).warmup_steps) == read


def test_explicit_defaults_of_the_optimizer_are_transformers_own():
    from transformers import TrainingArguments

    settings, theirs = Training.model_validate(TRAINING), TrainingArguments.__dataclass_fields__
    assert settings.betas == (theirs["adam_beta1"].default, theirs["adam_beta2"].default)
    assert settings.epsilon == theirs["adam_epsilon"].default
