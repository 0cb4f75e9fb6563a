import doctest

import pytest

from workflow_scripts.base import reasoning

YES = {"is_open": False, "is_whole": True}
SAID = [  # what a model wrote, the rule, whether the prompt opened the block, whether the turn ended -> the answer
    ("<think>\nHm.\n</think>\n\nYes.", "think", False, True, "Yes."),
    ("\n</think>\n\nYes.", "think", True, True, "Yes."),
    ("Hm.</think>Yes.", "think", False, True, "Yes."),  # an engine that left the beginning out
    ("  <think>Hm", "think", False, False, ""),
    ("Hm, so", "think", True, False, ""),
    ("Yes.", "think", True, True, "Yes."),  # it was trained to answer at once
    ("Yes.", "think", False, False, "Yes."),
    ("Write <think>x</think> around it.", "think", False, True, "Write <think>x</think> around it."),
    ("<think>a</think>b</think>c", "think", False, True, "b</think>c"),
    ("<|channel|>analysis<|message|>Hm.assistant<|channel|>final<|message|>Yes.", "harmony", False, True, "Yes."),
    ("<|channel|>final<|message|>Yes.", "harmony", False, True, "Yes."),
    ("<|channel|>analysis<|message|>Hm.", "harmony", False, False, ""),
    ("<think>Hm.</think><response> Yes. </response>", "response", False, True, "Yes."),
    ("[THINK]Hm.[/THINK]Yes.", "bracket", False, True, "Yes."),
    ("<|START_THINKING|>Hm.<|END_THINKING|>Yes.", "command", False, True, "Yes."),
    ("<|channel>thought\nHm.<channel|>Yes.", "channel", False, True, "Yes."),
    ("", "think", False, True, ""),
]


@pytest.mark.parametrize(("text", "rule", "is_open", "is_whole", "left"), SAID)
def test_reasoning_is_taken_off_and_nothing_else(
    text: str, rule: str, is_open: bool, is_whole: bool, left: str
) -> None:
    assert reasoning.answer(text, rule, is_open, is_whole) == left


def test_the_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(reasoning).failed == 0


def test_every_rule_has_a_beginning_and_an_end_of_its_own() -> None:
    assert len({rule.end for rule in reasoning.RULES.values()}) == len(reasoning.RULES)
    for name, rule in reasoning.RULES.items():
        assert reasoning.answer(f"{rule.begin}x{rule.end}y{rule.after}", name, **YES) == "y"
        assert reasoning.opened(f"q{rule.begin}\n") == f"{rule.begin}\n"
