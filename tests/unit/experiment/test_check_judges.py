# ruff: noqa: E501
"""Judges have their prompts, and are asked only what they can do."""

import pytest

from tests.unit.experiment.checked import check

# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "no such judge prompt": ({"judges/rules/harm": "harm-v9"}, ["judges.rules.harm: no prompt 'harm-v9'; did you mean harm-v1? (else add prompts/harm-v9.txt beside the config)"]),
    "a prompt that is for another question": (
        {"judges/rules/harm": "preference-v1", "judges/rules/preference": "translate-v1"},
        [
            "judges.rules.harm: preference-v1: the prompt has no {RESPONSE} below the line ---, no \"verdict\", the member",
            "judges.rules.preference: translate-v1: the prompt has no {PROMPT} below the line ---, no {RESPONSE_A} below",
        ],
    ),
    "prompts of one's own": ({"judges/rules/harm": "harm-short", "judges/rules/preference": "preference-short"}, []),
    "faults of another judge": (
        {"judges/gpt": {"model": "openai/gpt", "faults": {"unreadable": 0.1}}},
        ["judges.gpt.faults: only mixmerge/rules can be given faults; remove them"],
    ),
    "faults in a language of no prompt": (
        {"judges/rules/faults": {"sensitivity": {"frr": 0.5}}},
        ["judges.rules.faults: no language 'frr'; did you mean fr?"],
    ),
    "a judge of no such model": ({"judges/rules/models": ["mixx"]}, ["judges.rules.models: no model 'mixx'; did you mean mix?"]),
    "a judge of a model without answers": ({"judges/rules/models": ["init"]}, ["judges.rules.models: "]),
    "batches of a provider without them": (
        {"judges/gpt": {"model": "cohere/command-a-03-2025", "batch": True}},
        ["judges.gpt.batch: only openai, azure, hosted_vllm, litellm_proxy take batches"],
    ),
    "batches of OpenAI": ({"judges/gpt": {"model": "gpt-4o", "batch": True}}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])
