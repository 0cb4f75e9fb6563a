"""What `chat` of a config may say."""

from typing import get_args

import pytest

from workflow_scripts.base import reasoning
from workflow_scripts.config.chat import RESERVED, Chat
from workflow_scripts.config.fields import deciding, declared
from workflow_scripts.models import template_files


def test_every_rule_of_reasoning_can_be_named():
    assert set(get_args(Chat.model_fields["reasoning"].annotation)) == {"auto", "none", *reasoning.RULES}


def test_what_a_model_is_told_is_what_the_config_says_but_for_the_template():
    neutral = {name: declared(field).neutral for name, field in Chat.model_fields.items()}
    assert neutral == {"template": None, **template_files.NEUTRAL}
    assert deciding(Chat()) == {}


def test_arguments_that_transformers_takes_for_its_own_are_no_arguments_of_a_template():
    import inspect

    from transformers import PreTrainedTokenizerBase

    taken = inspect.signature(PreTrainedTokenizerBase.apply_chat_template).parameters.keys() - {"self", "kwargs"}
    assert taken <= RESERVED


@pytest.mark.parametrize("day", ["2025-02-30", "31.1.2025", "2025-W05", "20250131", ""])
def test_a_date_is_a_day_of_the_calendar(day):
    with pytest.raises(ValueError, match="is no day"):
        Chat(date=day)


def test_settings_over_others_keep_what_they_do_not_state():
    assert Chat(system=None).over(Chat(system="a", date="2025-01-31")) == Chat(date="2025-01-31")
