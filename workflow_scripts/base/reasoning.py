"""Blocks of reasoning in answers: how models mark them, and what is left without one."""

from typing import NamedTuple


class Rule(NamedTuple):
    """How a block of reasoning begins and ends, and what may stand behind the answer."""

    begin: str
    end: str
    after: str = ""


# From the chat templates of the models named.
RULES = {
    "harmony": Rule("<|channel|>analysis", "<|channel|>final<|message|>"),  # gpt-oss
    "response": Rule("<think>", "<response>", "</response>"),  # Granite 3.3
    "think": Rule("<think>", "</think>"),  # Qwen 3, R1 and its distills, QwQ, SmolLM 3, OLMo 3 Think, GLM, Nemotron
    "bracket": Rule("[THINK]", "[/THINK]"),  # Magistral
    "command": Rule("<|START_THINKING|>", "<|END_THINKING|>"),  # Command A, Command R7B, Tiny Aya
    "seed": Rule("<seed:think>", "</seed:think>"),  # Seed-OSS
    "channel": Rule("<|channel>thought", "<channel|>"),  # Gemma 4
    "kimi": Rule("◁think▷", "◁/think▷"),
}


def of_template(template: str, opens: str) -> str | None:
    """The name of the rule that a chat template goes by; None where it knows no reasoning.

    Args:
        template: its text; the first rule whose end stands in it is its own.
        opens: the block that its prompt begins, where the template leaves it to the model to end it.
    """
    told = (name for name, rule in RULES.items() if rule.end in template)
    begun = (name for name, rule in RULES.items() if opens.startswith(rule.begin) and not rule.after)
    return next(told, None) or next(begun, None)


def opened(prompt: str) -> str:
    r"""The block that a prompt has begun and not ended, from its beginning to the end of the prompt; or nothing.

    >>> opened("<think>a</think><|assistant|><think>\n"), opened("<think></think>")
    ('<think>\n', '')
    """
    for begin in dict.fromkeys(rule.begin for rule in RULES.values()):
        at = prompt.rfind(begin)
        if at >= 0 and not any(rule.end in prompt[at:] for rule in RULES.values() if rule.begin == begin):
            return prompt[at:]
    return ""


def answer(text: str, name: str, is_open: bool, is_whole: bool) -> str:
    r"""What a text says beside its reasoning; all of it where there is no block.

    Args:
        text: what a model wrote.
        name: of a rule.
        is_open: the prompt has begun the block already.
        is_whole: the model ended its turn; of one that was cut off in a block, nothing is left.

    >>> answer("<think>\nHm.\n</think>\n\nYes.", "think", is_open=False, is_whole=True)
    'Yes.'
    >>> answer("Write <think> and </think> around it.", "think", is_open=False, is_whole=True)
    'Write <think> and </think> around it.'
    >>> answer("Hm", "think", is_open=True, is_whole=False)
    ''
    """
    rule = RULES[name]
    reasoning, end, rest = text.partition(rule.end)
    begins = reasoning.lstrip().startswith(rule.begin)
    if end and (is_open or begins or rule.begin not in reasoning):
        return rest.strip().removesuffix(rule.after).rstrip() if rule.after else rest.lstrip()
    return "" if not end and (begins or (is_open and not is_whole)) else text
