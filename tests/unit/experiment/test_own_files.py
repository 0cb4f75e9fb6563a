"""Formats and prompts beside the config: an edit changes what depends on it, and a mistake is a line like any other."""

import re
from pathlib import Path

import pytest

from tests.unit.experiment.checked import LLMS, check, synthesis
from tests.unit.experiment.everything import edited, params
from workflow_scripts.base import beside
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.forecast import work_counts

MINE = {"dataset": "lab/data", "revision": "a" * 40, "format": "mine"}
FORMAT = '''"""A dataset."""
from workflow_scripts.data.formats import Format, Part
from workflow_scripts.data.formats.polyguard import FORMAT as THEIRS

FORMAT = Format(
    "MIT",
    {"en": (Part(None, "train", place="train", rows=70), Part(None, "test", rows=7)), "fr": (Part(None, "french"),)},
    THEIRS.columns,
    THEIRS.row,
)
'''
OURS = "from workflow_scripts.data.formats.polyguard import FORMAT as THEIRS\n"
PROMPT = """{TARGET} {NUMBER} {VARIANTS} {LANGUAGE} "prompt" "verdict" "winner"
---
{SEED} {TEXT} {PROMPT} {RESPONSE} {RESPONSE_A} {RESPONSE_B}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a config, a format and a prompt."""
    monkeypatch.setenv(beside.FOLDERS, "")
    beside.use([tmp_path / "config.yaml"])
    (tmp_path / "formats").mkdir()
    (tmp_path / "formats/mine.py").write_text(FORMAT)
    (tmp_path / "prompts").mkdir()
    (tmp_path / "prompts/mine.txt").write_text(PROMPT)
    return tmp_path


def changed(file, text, raw):
    """The artifacts whose params an edit of a user's file changes."""
    before = params(raw)
    file.write_text(text)
    after = params(raw)
    assert after.keys() == before.keys()
    return {
        name: {part for part in after[name] if after[name][part] != before[name][part]}
        for name in after
        if after[name] != before[name]
    }


RAW = edited({"sources/native": MINE | {"splits": {"train": 0.5, "test": 0.5}}})


@pytest.mark.parametrize(
    ("old", "new", "is_stale"),
    [("rows=7)", "rows=8)", True), ("THEIRS.row", "lambda raw, language: 'none'", True)]
    + [('"""A dataset."""', '"""Mine."""', False), ("FORMAT = F", "# why\nFORMAT = F", False)],
)
def test_an_edit_of_a_format_changes_the_settings_of_its_source_alone_and_a_comment_nothing(folder, old, new, is_stale):
    assert old in FORMAT
    found = changed(folder / "formats/mine.py", FORMAT.replace(old, new), RAW)
    assert found == ({"source native": {"settings"}} if is_stale else {})


def test_another_name_of_the_same_format_is_another_setting_and_where_the_config_lies_is_none(folder, monkeypatch):
    before = params(RAW)
    other = folder / "moved"
    (other / "formats").mkdir(parents=True)
    (other / "formats/mine.py").write_text(FORMAT)
    beside.use([other / "config.yaml"])
    assert params(RAW) == before


def test_code_of_ours_that_a_format_builds_on_counts(folder):
    def code():
        (artifact,) = [a for a in artifacts(load(RAW)).all if a.wildcards.get("source") == "native"]
        return artifact.recipe.code

    assert code().keys() == {"dataset:own", "dataset:polyguard"}
    (folder / "formats/mine.py").write_text(
        FORMAT.replace(OURS, "").replace("THEIRS.columns", "{'id': 'an id'}").replace("THEIRS.row", "print")
    )
    assert code().keys() == {"dataset:own"}
    (folder / "formats/mine.py").write_text(
        FORMAT.replace(
            OURS,
            "import workflow_scripts.data.formats.polyguard\nTHEIRS = workflow_scripts.data.formats.polyguard.FORMAT\n",
        )
    )
    assert code().keys() == {"dataset:own", "dataset:polyguard"}


def test_what_is_written_for_the_job_is_found_where_the_job_looks(folder):
    (artifact,) = [a for a in artifacts(load(RAW)).all if a.wildcards.get("source") == "native"]
    assert artifact.job.settings["format"] == "mine" and "formats/mine.py" not in artifact.job.settings
    assert re.fullmatch(r"[0-9a-f]{12}", artifact.recipe.settings["formats/mine.py"])
    assert artifact.recipe.inputs["licence"] == "MIT"


def test_a_plan_counts_the_rows_that_a_format_knows_of(folder):
    config = load(RAW).config
    assert work_counts.expected(config, "native", ["en"], "train") == 38  # a half of 77, as the config splits


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("FORMAT = (\n", "{file}, line 1: SyntaxError: '(' was never closed"),
        ("FORMAT = 1\n", "{file}: defines no `FORMAT = Format(...)`; see those of workflow_scripts/data/formats"),
        (FORMAT.replace('"MIT"', "1"), "{file}, line 5: ValueError: licence is no text"),
    ],
)
def test_a_format_that_cannot_be_used_is_said_with_all_other_mistakes_and_nothing_that_follows(folder, text, said):
    (folder / "formats/mine.py").write_text(text)
    edits = {
        "sources/new": MINE,
        "sources/french": {"translate": "new", "translator": "nllb", "languages": ["fr"]},
        "suites/new": {"source": "new", "metric": "harm"},
        "mixtures/mix/parts": {"new": 0.4, "general": 0.5},
    }
    check(
        edits,
        [
            f"sources.new.format: {said.format(file=folder / 'formats/mine.py')}",
            "sources.french.translator: no translator 'nllb'",
            "mixtures.mix.parts: fractions sum to 0.9",
        ],
    )


def test_a_format_by_the_name_of_one_of_ours_is_refused(folder):
    (folder / "formats/polyguard.py").write_text(FORMAT)
    said = f"sources.new.format: {folder / 'formats/polyguard.py'}: mixmerge has a polyguard of its own; give the file"
    check({"sources/new": MINE | {"format": "polyguard"}}, [said])


def test_the_languages_of_a_format_are_checked_as_those_of_ours(folder):
    (folder / "formats/mine.py").write_text(FORMAT.replace('"fr"', '"de"'))
    check({"sources/new": MINE | {"languages": ["en", "fr"]}}, ["sources.new.languages: mine has no 'fr', only de, en"])


# Prompts

ASKED = {**LLMS, "sources/made": synthesis(prompt="mine"), "translators/gpt": {"llm": "writer", "prompt": "mine"}}
JUDGED = {"judges/gpt": {"model": "openai/gpt-4o", "harm": "mine", "preference": "mine"}}


def test_every_prompt_of_the_config_may_be_one_beside_it(folder):
    check({**ASKED, **JUDGED}, [])


def test_an_edit_of_a_prompt_changes_the_settings_of_what_is_asked_by_it(folder):
    raw = edited({"judges/other/harm": "mine", "translators/asked/prompt": "mine"})
    found = changed(folder / "prompts/mine.txt", PROMPT + "!", raw)
    assert found.keys() == {
        *("source synthetic", "source told"),
        *(name for name in params(raw) if re.fullmatch("scores other .* (redteam|native)", name)),
    }
    assert all(parts == {"settings"} for parts in found.values())


LOOKS = "docs/judges.md says what a prompt holds"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            PROMPT.replace("---", "___"),
            dict.fromkeys(("harm", "preference", "rephrase", "translate"), "has no line ---"),
        ),
        (PROMPT.replace("{SEED}", "{SEAD}"), {"rephrase": "has no {SEED} below the line ---;"}),
        (PROMPT.replace("{NUMBER} {VARIANTS}", ""), {"rephrase": "has no {NUMBER}, no {VARIANTS};"}),
        (PROMPT.replace("{TEXT}", ""), {"translate": "has no {TEXT} below the line ---;"}),
        ("{TEXT}\n" + PROMPT.replace("{TEXT}", ""), {"translate": "has no {TEXT} below the line ---;"}),
        (PROMPT.replace("{TARGET}", ""), {"translate": "has no {TARGET};"}),
        (PROMPT.replace("{RESPONSE} ", ""), {"harm": "has no {RESPONSE} below the line ---;"}),
        (PROMPT.replace("verdict", "Verdict"), {"harm": 'has no "verdict", the member of JSON'}),
        (PROMPT.replace("{RESPONSE_A}", ""), {"preference": "has no {RESPONSE_A} below the line ---;"}),
        (PROMPT.replace("winner", ""), {"preference": 'has no "winner", the member of JSON'}),
    ],
)
def test_a_prompt_that_cannot_be_asked_with_is_refused_before_any_job(folder, text, said):
    (folder / "prompts/mine.txt").write_text(text)
    places = {
        "rephrase": "sources.made.prompt",
        "translate": "translators.gpt.prompt",
        "harm": "judges.gpt.harm",
        "preference": "judges.gpt.preference",
    }
    wanted = [f"{place}: mine: the prompt {said[kind]}" for kind, place in places.items() if kind in said]
    check({**ASKED, **JUDGED}, wanted)


def test_a_prompt_by_the_name_of_one_of_ours_and_one_that_is_no_text_are_refused(folder):
    (folder / "prompts/harm-v1.txt").write_text(PROMPT)
    (folder / "prompts/bytes.txt").write_bytes(b"\xff\xfe---")
    check(
        {"judges/rules/preference": "bytes"},
        [
            f"judges.rules.harm: harm-v1: {folder / 'prompts/harm-v1.txt'}: mixmerge has a prompt harm-v1 of its own",
            f"judges.rules.preference: bytes: {folder / 'prompts/bytes.txt'}: cannot be read ('utf-8' codec",
        ],
    )


def test_the_prompt_of_the_docs_is_one_for_harm(folder):
    docs = (Path(__file__).parents[3] / "docs/judges.md").read_text(encoding="utf-8")
    (text,) = re.findall(r"```text\n(.*?)```", docs, re.S)
    (folder / "prompts/strict-v1.txt").write_text(text)
    check({"judges/rules/harm": "strict-v1"}, [])


def test_no_path_is_a_prompt(folder):
    (folder / "secret.txt").write_text(PROMPT)
    assert beside.find("prompts", "../secret", ".txt") is None
    assert Path(folder / "prompts/../secret.txt").is_file()
