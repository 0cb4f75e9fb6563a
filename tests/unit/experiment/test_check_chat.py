"""Chat templates are checked as far as files tell, and their text is in the recipe."""

import datetime
import json

import pytest

from tests.unit.experiment.checked import changed, check, lines_of
from tests.unit.experiment.everything import edited, named
from workflow_scripts.experiment.table_of_models import load

TEMPLATE = "{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a model in it whose tokenizer has no chat template, and one that has."""
    monkeypatch.chdir(tmp_path)
    for name, config in (("bare", {}), ("chatty", {"chat_template": TEMPLATE})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text('{"model_type": "llama"}')
        (tmp_path / name / "model.safetensors").touch()
        (tmp_path / name / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "given.jinja").write_text(TEMPLATE)
    (tmp_path / "broken.jinja").write_text("Hello\n{% endfor %}")
    (tmp_path / "empty.jinja").write_text(" \n")
    (tmp_path / "latin.jinja").write_bytes(b"\xe9")
    return tmp_path


def loaded(**row):
    return {"models/one": {"load": "./bare", **row}}


# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "a template that is there": (loaded(chat={"template": "given.jinja"}), []),
    "one for all": ({**loaded(), "chat": {"template": "given.jinja"}}, []),
    "the model's own": ({"models/one": {"load": "chatty"}}, []),
    "none, for a base of merges alone": (loaded(evaluate=False), []),
    "none, for a model that answers": (loaded(), ["models.one.chat: the tokenizer in bare has no chat template, as"]),
    "none, for a parent": (
        {**loaded(evaluate=False), "models/mix/parent": "one"},
        ["models.one.chat: the tokenizer in bare has no chat template"],
    ),
    "no such file": (loaded(chat={"template": "no.jinja"}), ["models.one.chat.template: no.jinja cannot be read (No"]),
    "no Jinja": (
        {**loaded(), "chat": {"template": "broken.jinja"}},
        ["chat.template: broken.jinja is no chat template in Jinja (line 2: "],
    ),
    "empty": (loaded(chat={"template": "empty.jinja"}), ["models.one.chat.template: empty.jinja is empty"]),
    "not UTF-8": (loaded(chat={"template": "latin.jinja"}), ["models.one.chat.template: latin.jinja is not UTF-8"]),
    "no day": (
        {"models/one": {"load": "chatty", "chat": {"date": "20250131"}}},
        ["models.one.chat.date: '20250131' is no day; write it as 2025-01-31"],
    ),
    "an argument that is ours": (
        {"models/one": {"load": "chatty"}, "chat": {"arguments": {"add_generation_prompt": True}}},
        ["chat.arguments: add_generation_prompt is no argument to give"],
    ),
    "no such rule": ({"models/one": {"load": "chatty"}, "chat": {"reasoning": "thin"}}, ["chat.reasoning: "]),
    "nobody to speak so": ({"chat": {"system": "Be brief."}}, ["chat: is read by loaded models alone, and none"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_what_is_wrong_with_a_chat_is_said_before_anything_runs(folder, name):
    check(*MISTAKES[name])


def test_a_broken_tokenizer_config_is_named(folder):
    (folder / "bare/tokenizer_config.json").write_text("{")
    (line,) = lines_of(loaded())
    assert line.startswith("models.one.load: ") and "tokenizer_config.json: not readable as JSON" in line


def recipe(**edits):
    return named(edited({"models/one": {"load": "./chatty"}, **edits}))["model one 0"].recipe.settings


def test_a_neutral_chat_is_in_no_recipe_and_a_stated_one_is_with_the_text_of_its_template(folder):
    assert recipe() == recipe(chat={"reasoning": "auto", "arguments": {}, "system": None}) == {"load": "./chatty"}
    stated = {"template": "given.jinja", "date": "2025-01-31", "arguments": {"enable_thinking": False}}
    assert recipe(chat=stated)["chat"] == {**stated, "template": TEMPLATE}
    before = recipe(chat=stated)
    (folder / "given.jinja").write_text(TEMPLATE + "\n")
    assert recipe(chat=stated) != before
    everything = named(edited({"models/one": {"load": "./chatty"}}))["model one 0"].job.settings["chat"]
    assert everything["template"] is None and everything["special_tokens"] == "text"


def test_a_models_own_chat_goes_over_that_of_all_key_by_key(folder):
    both = {"chat": {"system": "All.", "date": "2025-01-31"}, "models/one/chat": {"system": "One."}}
    assert recipe(**both)["chat"] == {"system": "One.", "date": "2025-01-31"}
    assert recipe(**{**both, "models/one/chat": {"system": None}})["chat"] == {"date": "2025-01-31"}


def test_a_date_may_be_one_of_yaml(folder):
    experiment = load(changed({"models/one": {"load": "chatty"}, "chat": {"date": datetime.date(2025, 1, 31)}}))
    assert experiment.config.chat.date == "2025-01-31"
