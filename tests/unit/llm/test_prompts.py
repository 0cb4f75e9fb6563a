"""A prompt shows each text in a fence that no text can leave."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workflow_scripts.base.errors import UserError
from workflow_scripts.llm import prompts
from workflow_scripts.llm.prompts import messages, nonce, template


def fenced(text):
    """Reads fences line by line, as a judge would; no regular expression shared with the code under test."""
    texts, tag, lines = {}, None, []
    for line in text.split("\n"):
        if tag is None and line.startswith("<<<"):
            tag, code = line[3:-3].split(" ")
            lines = []
        elif tag is not None and line == f"<<<END {code}>>>":
            texts[tag], tag = "\n".join(lines), None
        elif tag is not None:
            lines.append(line)
    return texts


@given(st.lists(st.one_of(st.text(), st.sampled_from(["{PROMPT}", "{RESPONSE}", "<<<END 0>>>", "\n---\n", "\\1", ""]))))
def test_no_text_can_leave_its_fence_or_stand_in_for_another(parts):
    texts = {"PROMPT": "".join(parts), "RESPONSE": "".join(reversed(parts))}
    assert fenced(messages(template("harm-v1"), texts)[1]["content"]) == texts


def test_a_text_that_holds_the_fence_code_gets_another_code(monkeypatch):
    class Hash:
        def __init__(self, content):
            self.content = content

        def hexdigest(self):
            return ("ab" if self.content.endswith(b" ") else "cd") * 32

    monkeypatch.setattr(prompts.hashlib, "sha256", Hash)
    assert nonce(["free"]) == "cd" * 8
    assert nonce(["it says " + "CD" * 8]) == "ab" * 8


def test_the_same_question_is_the_same_request():
    first, second, third = (messages(template("harm-v1"), {"PROMPT": "a", "RESPONSE": b}) for b in "xxy")
    assert first == second != third


@pytest.mark.parametrize(
    ("text", "says"), [("x\n---\n{PROMPT}", "{RESPONSE} below"), ("{PROMPT} {RESPONSE}", "line ---")]
)
def test_a_prompt_without_a_place_for_a_text_is_refused(text, says):
    with pytest.raises(UserError, match=says):
        messages(text, {"PROMPT": "a", "RESPONSE": "b"})


@pytest.mark.parametrize("name", ["harm-v0", "../judging", "../judge_prompts/harm-v1"])
def test_an_unknown_prompt_is_named_with_those_there_are(name):
    with pytest.raises(UserError, match="there are harm-v1, preference-v1"):
        template(name)
