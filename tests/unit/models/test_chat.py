"""Prompts, answers and ends of turns, by the published templates of the families that people use."""

import datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.models.families import DATED, FAMILIES, GLM, TEMPLATES, THINK, of_family, template, tokenizer
from workflow_scripts.base import reasoning
from workflow_scripts.base.errors import UserError
from workflow_scripts.models.chat import Chat
from workflow_scripts.models.chat_template import user

ASKED, SAID = "How do I open the door?", "You open it with a key."
DAY = {"date": "2024-07-26"}
PLAIN = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def chat(name: str, **settings: Any) -> Chat:
    """A family's chat as its base model is published."""
    made = of_family(name)
    return Chat(made, {**(DAY if name in DATED else {}), **settings}, [made.eos_token_id], name)


def of(chat_template: Any, ends: Any = (), settings: Any = None, **changes: Any) -> Chat:
    """The chat of a template that nobody published."""
    made = tokenizer(chat_template=chat_template, **changes)
    return Chat(made, settings or {}, ends or [made.eos_token_id], "m")


def answered(one: Chat, prompt: str, answer: str) -> tuple[str, list[int]]:
    """The text of a prompt with its answer, and the answer's tokens."""
    prompts = one.prompts([user(prompt)])
    (tokens,) = one.answers([user(prompt)], prompts, [answer])
    return one.tokenizer.decode(prompts[0] + tokens), tokens


def test_there_is_a_family_for_each_published_template():
    assert FAMILIES.keys() == {file.stem for file in TEMPLATES.glob("*.jinja")}
    readme = (TEMPLATES / "README.md").read_text(encoding="utf-8")
    assert [name for name in FAMILIES if f"| `{name}` |" not in readme] == []


@pytest.mark.parametrize("name", FAMILIES)
def test_the_turn_ends_where_the_template_ends_it_and_answers_stop_there_and_at_the_models_own_eos(name: str):
    family, one = FAMILIES[name], chat(name)
    end, eos = one.tokenizer.convert_tokens_to_ids([family.end or family.eos, family.eos])
    assert (one.end, one.adds_end) == (end, family.end is None)
    assert one.stops == sorted({end, eos})
    if family.why:
        with pytest.raises(UserError, match=family.why):
            answered(one, ASKED, SAID)
    else:
        text, tokens = answered(one, ASKED, SAID)
        assert end in tokens, "the answer teaches it"
        assert ASKED in text and SAID in text.replace("  ", " ")


def test_a_base_whose_eos_is_another_stops_at_the_end_of_its_templates_turn():
    bases = {name: chat(name) for name in FAMILIES if FAMILIES[name].end not in (None, FAMILIES[name].eos)}
    assert {"qwen-2.5", "qwen-3", "llama-3", "llama-3.1", "gemma-2", "phi-3", "smollm-2", "phi-4"} <= bases.keys()
    for one in bases.values():
        assert one.end in one.stops and one.end != one.tokenizer.eos_token_id


def test_a_template_that_ends_no_turn_has_the_eos_added_and_one_that_cannot_be_learnt_is_refused():
    assert answered(chat("glm-4"), ASKED, SAID)[1][-1] == chat("glm-4").tokenizer.eos_token_id
    glm = of(template("glm-4"), ends=[0, 5], special=GLM)
    assert glm.stops == [0, 5], "its instruct model ends a turn by the user's"
    text = of(PLAIN, special=("<|endoftext|>",))
    assert text.end is None and text.stops == [0], "it can answer"
    with pytest.raises(
        UserError, match=r"m: its chat template ends a turn by '<\|im_end\|>', no token.*<\|endoftext\|>"
    ):
        answered(text, ASKED, SAID)
    with pytest.raises(UserError, match="neither its chat template nor an eos of its tokenizer ends a turn"):
        answered(of("{% for m in messages %}{{ m.content }}{% endfor %}", ends=[7], eos=None), ASKED, SAID)
    with pytest.raises(UserError, match="leaves out the turn of the assistant"):
        answered(of("{% for m in messages if m.role == 'user' %}{{ m.content }}{% endfor %}"), ASKED, SAID)


def test_a_block_that_closes_before_the_turn_is_not_its_end():
    one = chat("command-r7b-tools")
    assert "<|END_RESPONSE|><|END_OF_TURN_TOKEN|>" in answered(one, ASKED, SAID)[0]
    assert one.stops == [one.tokenizer.convert_tokens_to_ids("<|END_OF_TURN_TOKEN|>")]


# Prompt and answer


@pytest.mark.parametrize("answer", ["\nYou open it.", "\n\nYou", "\n", SAID])
@pytest.mark.parametrize("name", ["qwen-2.5", "llama-3", "qwen-3.5-thinking", "gemma-2", "zephyr", "vicuna-1.1"])
def test_the_prompt_keeps_the_tokens_of_generation_whatever_the_answer_begins_with(name: str, answer: str):
    one = chat(name)
    (prompt,), ((_, tokens)) = one.prompts([user(ASKED)]), answered(one, ASKED, answer)
    (whole,) = one.template.write([[*user(ASKED), {"role": "assistant", "content": answer}]], asks=False)
    assert one.tokenizer.decode(prompt + tokens) == one.tokenizer.decode(one.plain.tokens([whole])[0])
    joined = one.plain.tokens([whole])[0]
    if name == "qwen-2.5" and answer.startswith("\n"):
        assert joined[: len(prompt)] != prompt, "newlines are one token, as in the case that this is about"


def test_a_prompt_that_opens_a_block_is_told_apart_from_a_template_that_is_wrong():
    with pytest.raises(UserError) as opened:
        answered(chat("deepseek-r1-distill"), ASKED, SAID)
    assert "opens '<think>\\n' before an answer" in str(opened.value) and "chat.template" in str(opened.value)
    with pytest.raises(UserError, match=r"turn that off by chat.arguments \(enable_thinking: false\)"):
        answered(chat("nemotron-3-nano"), ASKED, SAID)
    assert "</think>You" in answered(chat("nemotron-3-nano", arguments={"enable_thinking": False}), ASKED, SAID)[0]
    wrong = PLAIN.replace("'<|im_start|>assistant\n'", "'<|im_start|>bot\n'")
    with pytest.raises(UserError, match=r"no prefix of prompt and answer \(row r1 and 1 more\).*'assistant.*not 'bot"):
        one = of(wrong)
        asked = [user("a"), user("b")]
        one.answers(asked, one.prompts(asked), ["c", "d"], ["r1", "r2"])


def test_answers_that_go_on_with_the_block_are_learnt():
    text, _ = answered(chat("olmo-3-think"), ASKED, f"<think>Hm.</think>{SAID}")
    assert f"assistant\n<think>Hm.</think>{SAID}" in text


def test_reasoning_is_off_by_an_argument_of_the_template():
    one = chat("qwen-3", arguments={"enable_thinking": False})
    assert one.tokenizer.decode(one.prompts([user(ASKED)])[0]).endswith("<think>\n\n</think>\n\n")
    assert one.tokenizer.decode(answered(one, ASKED, SAID)[1]) == f"{SAID}<|im_end|>\n"


# What `chat` says


def test_a_template_that_reads_the_clock_needs_a_day_and_gives_the_same_on_any_other(monkeypatch: pytest.MonkeyPatch):
    import transformers.utils.chat_template_utils as utils

    for name in DATED:
        made = of_family(name)
        with pytest.raises(UserError, match=f"{name}: its chat template asks for today's date.*chat.date"):
            Chat(made, {}, [made.eos_token_id], name)
        fixed = chat(name).prompts([user(ASKED)])

        class Tomorrow(datetime.datetime):
            @classmethod
            def now(cls, tz: Any = None) -> "Tomorrow":
                return cls(2031, 1, 1)

        monkeypatch.setattr(utils, "datetime", Tomorrow)
        assert chat(name).prompts([user(ASKED)]) == fixed
        assert "2024" in made.decode(fixed[0]) and "2031" not in made.decode(fixed[0])
    made = of_family("llama-3.2")
    Chat(made, {"arguments": {"date_string": "26 Jul 2024"}}, [made.eos_token_id], "a day by its own argument will do")


def test_the_systems_turn_stands_in_conversations_that_have_none():
    one = chat("qwen-2.5", system="Be brief.")
    asked = [user(ASKED), [{"role": "system", "content": "Rhyme."}, *user(ASKED)]]
    mine, own = (one.tokenizer.decode(tokens) for tokens in one.prompts(asked))
    assert "system\nBe brief.<|im_end|>" in mine and "Qwen" not in mine
    assert "system\nRhyme.<|im_end|>" in own and "brief" not in own
    assert "You are Qwen" in chat("qwen-2.5").tokenizer.decode(chat("qwen-2.5").prompts([user(ASKED)])[0])
    marks = chat("qwen-2.5", system="<|im_end|>").prompts([user(ASKED)])[0]
    assert specials(one, marks) == specials(one, one.prompts(asked)[0]), "what it says is text as well"
    with pytest.raises(
        UserError, match=r"gemma-2: its chat template fails \(System role not supported\); remove chat.system"
    ):
        chat("gemma-2", system="Be brief.")
    with pytest.raises(UserError, match="leaves out the turn of the system"):
        of(
            "{% for m in messages if m.role != 'system' %}{{ m.content + eos_token }}{% endfor %}",
            settings={"system": "Be brief."},
        )


def test_what_a_template_does_not_read_or_is_not_is_refused_all_at_once():
    made = of_family("smollm-3")
    with pytest.raises(UserError) as found:
        Chat(made, {"arguments": {"enable_thinkin": False}}, [0], "m")
    assert [line.partition(";")[0] for line in str(found.value).split("\n")] == [
        "m: its chat template does not read enable_thinkin",
        "m: its chat template asks for today's date, by which no two days would give the same",
    ]
    for broken, why in (
        ("{% for m in %}", r"no chat template in Jinja \(line 1: "),
        ("{{ messages[7].content }}", "its chat template fails"),
        ("{{ messages.__class__.__mro__ }}", "its chat template fails"),
        ("{{ raise_exception('never') }}", r"fails \(never\)"),
        ("Hello", "leaves out the turn of the user"),
        (None, "has no chat template; give one by chat.template"),
    ):
        with pytest.raises(UserError, match=why):
            of(broken)


def test_a_row_that_the_template_refuses_is_named():
    picky = "{% if 'x' in messages[0].content %}{{ raise_exception('no x') }}{% endif %}" + PLAIN
    one = of(picky.replace("'x' in", "'xx' in"))
    with pytest.raises(UserError, match=r"fails at row r2 \(no x\); correct the template or the row"):
        one.prompts([user("a"), user("xx")], ["r1", "r2"])


def test_the_default_of_several_templates_by_name_is_used():
    made = tokenizer(chat_template={"default": PLAIN, "tool_use": "{{ 1 }}"})
    assert Chat(made, {}, [0], "m").template.text == PLAIN


# Special tokens in texts of users


def specials(one: Chat, tokens: list[int]) -> list[str]:
    """The special tokens among some."""
    return [token for token in one.tokenizer.convert_ids_to_tokens(tokens) if token in one._added and token != "<UNK>"]


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if not family.why])
def test_special_tokens_in_prompts_and_answers_are_text(name: str):
    one, family = chat(name), FAMILIES[name]
    (plain,) = one.prompts([user("a b c")])
    tags = "".join(reasoning.RULES[one.rule][:2]) if one.rule else ""
    for token in {family.end or family.eos, family.eos, family.special[0], family.special[-1]}:
        if token in tags:
            continue
        text = f"a {token}{token} {token[:-1]}{token} c"
        (prompt,) = one.prompts([user(text)])
        assert specials(one, prompt) == specials(one, plain)
        assert text in one.tokenizer.decode(prompt), "and every character is there"
        whole, tokens = answered(one, text, text)
        assert text in whole
        assert specials(one, prompt + tokens) == specials(one, plain + answered(one, "a b c", "a b c")[1])


def test_a_key_lets_special_tokens_be_tokens():
    one = chat("qwen-2.5", special_tokens="tokens")
    (prompt,) = one.prompts([user("a<|im_end|>b")])
    assert (
        specials(one, prompt).count("<|im_end|>")
        == specials(one, chat("qwen-2.5").prompts([user("ab")])[0]).count("<|im_end|>") + 1
    )


def test_tokens_of_turns_that_are_not_declared_special_are_text_too_and_those_of_reasoning_stay_in_answers():
    one = of(
        PLAIN, special=("<|endoftext|>",), added=("<|im_start|>", "<|im_end|>", *THINK), settings={"reasoning": "think"}
    )
    (prompt,) = one.prompts([user("a<|im_end|>b")])
    assert specials(one, prompt).count("<|im_end|>") == 1
    _, tokens = answered(one, ASKED, "<think>Hm<|im_end|></think>Yes")
    assert specials(one, tokens) == ["<think>", "</think>", "<|im_end|>"]


@pytest.mark.parametrize(
    ("name", "answer", "kept"),
    [
        ("seed-oss", "<seed:think>Hm.</seed:think>Yes", ["<seed:think>", "</seed:think>"]),
        ("qwen-3", "<think>\nHm.\n</think>\n\nYes", ["<think>", "</think>"]),
        ("smollm-3", "<think>\nHm.\n</think>\nYes", ["<think>", "</think>"]),
    ],
)
def test_reasoning_in_answers_of_data_is_learnt_as_the_template_writes_it(name: str, answer: str, kept: list[str]):
    one = chat(name)
    _, tokens = answered(one, ASKED, answer)
    assert specials(one, tokens)[:2] == kept
    (prompt,) = one.prompts([user(kept[0])])
    assert specials(one, prompt) == specials(one, one.prompts([user("a")])[0]), "in a prompt it is text"


def test_a_vocabulary_of_words_gives_no_special_token_for_a_text(tmp_path):
    from tests.unit.train.tiny import ARCHITECTURE, ROWS
    from workflow_scripts.train import random_model

    random_model.initialise({"architecture": ARCHITECTURE, "seed": 0}, ROWS, tmp_path / "m")
    one = Chat.open(tmp_path / "m")
    (prompt,) = one.prompts([user("w1 <|END_OF_TURN_TOKEN|> w2")])
    assert specials(one, prompt) == specials(one, one.prompts([user("w1 w2")])[0])
    assert prompt.count(one.end) == 1


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.sampled_from(["<|im_end|>", "<|im_start|>", "<", "|", "im_end", "|>", "\n", " ", "é", "\ufdd0", "user"]),
        max_size=8,
    )
)
def test_no_text_makes_a_turn_and_none_is_lost(parts: list[str]):
    one, text = chat("qwen-2.5"), "".join(parts)
    (prompt,) = one.prompts([user(text)])
    assert specials(one, prompt) == specials(one, one.prompts([user("a")])[0])
    assert one.tokenizer.decode(prompt) == one.template.write([user(text)], asks=True)[0]


# Reasoning in answers


def test_answers_keep_the_tokens_that_mark_reasoning_and_no_other_special_ones():
    one = chat("gpt-oss")
    said = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes."
    assert one.text(one.plain.tokens([said])[0]) == said.replace("<|end|><|start|>", "")
    plain = chat("qwen-2.5")
    assert plain.text(plain.plain.tokens(["Yes.<|im_end|>"])[0]) == "Yes."


@pytest.mark.parametrize("name", FAMILIES)
def test_the_rule_of_reasoning_follows_from_the_template_or_is_named(name: str):
    assert chat(name).rule == FAMILIES[name].rule
    assert chat(name, reasoning="none").rule is None and chat(name, reasoning="bracket").rule == "bracket"
