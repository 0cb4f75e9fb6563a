"""What a folder says of a model's conversations."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.models.families import FAMILIES, template, tokenizer
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import template_files

RAG = {"name": "rag", "template": "c"}


def write(folder: Path, **files: object) -> Path:
    for name, content in files.items():
        text = content if isinstance(content, str) else json.dumps(content)
        (folder / name.replace("__", ".")).write_text(text)
    return folder


@pytest.mark.parametrize(
    ("files", "found"),
    [
        ({}, None),
        ({"tokenizer_config__json": {}}, None),
        ({"tokenizer_config__json": {"chat_template": ""}}, None),
        ({"tokenizer_config__json": {"chat_template": "a"}}, "a"),
        ({"tokenizer_config__json": {"chat_template": "a"}, "chat_template__jinja": "b"}, "b"),
        ({"tokenizer_config__json": {"chat_template": [RAG, {"name": "default", "template": "d"}]}}, "d"),
        ({"tokenizer_config__json": {"chat_template": [RAG, 3]}}, None),
        ({"tokenizer_config__json": {"chat_template": 7}}, None),
    ],
)  # fmt: skip
def test_a_template_is_found_where_transformers_finds_it(tmp_path: Path, files: dict, found: str | None) -> None:
    assert template_files.template(write(tmp_path, **files)) == found


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_whatever_stands_in_the_file_is_no_traceback(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    folder = write(tmp_path_factory.mktemp("m"), tokenizer_config__json=json.dumps({"chat_template": content}))
    assert template_files.template(folder) is None or isinstance(template_files.template(folder), str)
    (folder / "tokenizer_config.json").write_text(json.dumps(content))
    try:
        template_files.template(folder)
    except UserError as error:
        assert "tokenizer_config.json" in str(error)


@pytest.mark.parametrize("name", FAMILIES)
def test_published_templates_are_jinja_and_their_names_are_known(name: str) -> None:
    assert {"messages", "add_generation_prompt"} & template_files.names(template(name))


def test_names_of_conditions_and_loops_count() -> None:
    loop = "{% for m in messages %}{{ m[style] }}{% endfor %}"
    text = "{% if enable_thinking is defined and not enable_thinking %}" + loop + "{% endif %}"
    assert template_files.names(text) == {"enable_thinking", "messages", "m", "style"}
    assert template_files.names(
        "{% for m in a %}{% generation %}{{ m }}{%- endgeneration -%}{% break %}{% endfor %}"
    ) == {"a", "m"}
    with pytest.raises(UserError, match="line 2: "):
        template_files.names("a\n{% endfor %}")


def test_all_ends_stand_in_what_generate_reads_and_what_stood_there_stays(tmp_path: Path) -> None:
    made = tokenizer()
    write(tmp_path, config__json={"eos_token_id": 0, "bos_token_id": 1, "hidden_size": 8})
    assert template_files.eos(tmp_path, made) == [0]
    assert json.loads(template_files.with_ends(tmp_path, [0, 2]) or "") == {"bos_token_id": 1, "eos_token_id": [0, 2]}
    assert template_files.with_ends(tmp_path, [0]) is None
    write(tmp_path, generation_config__json={"eos_token_id": [5, 3], "temperature": 0.6})
    assert template_files.eos(tmp_path, made) == [5, 3, 0]
    assert json.loads(template_files.with_ends(tmp_path, [0, 3, 5]) or "") == {
        "eos_token_id": [5, 3, 0],
        "temperature": 0.6,
    }
    assert template_files.with_ends(tmp_path, [3, 5]) is None
    write(tmp_path, generation_config__json="{")
    with pytest.raises(UserError, match="generation_config.json: not readable as JSON"):
        template_files.eos(tmp_path, made)


def test_settings_that_nobody_writes_are_refused(tmp_path: Path) -> None:
    assert template_files.settings(tmp_path) == {}
    write(tmp_path, mixmerge_chat__json=template_files.written({"date": "2024-07-26"}))
    assert template_files.settings(tmp_path) == {"date": "2024-07-26"}
    write(tmp_path, mixmerge_chat__json={"dat": 1})
    with pytest.raises(UserError, match="mixmerge_chat.json: dat is nothing that mixmerge writes"):
        template_files.settings(tmp_path)


def test_a_tokenizer_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    write(tmp_path, tokenizer_config__json={"tokenizer_class": "NoSuchTokenizer"}, tokenizer__json="{}")
    with pytest.raises(UserError, match="its tokenizer cannot be read"):
        template_files.tokenizer(tmp_path, trust_remote_code=False)
