"""What training and evaluation have in common is found, whatever it looks like, and stops the run in one line."""

from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs import job, start
from workflow_scripts.base import records
from workflow_scripts.base.text import is_unspaced
from workflow_scripts.config.data import Overlap, WorldSource
from workflow_scripts.config.experiment import Config
from workflow_scripts.data import mixture, overlap, suite
from workflow_scripts.miniature import world

ROOT = Path(__file__).parents[3]
LONG = "please tell me in your own words how a steam engine works and why it needs so much water every day"
OTHER = "what is the name of the river that flows through the old town where my grandmother was born and raised"
WORK = {**Overlap().model_dump(), "origins": {"a": "one", "b": "one", "c": "two"}}


def row(id_, prompt, source="a", key=None, completion=None, language="en", **more):
    return {
        "id": id_, "source_prompt_id": key or id_, "language": language, "source": source, "split": "test",
        "prompt": prompt, "completion": completion, "rejected": None, "reference": None, "categories": None,
        "scope": None, "label": None, **more,
    }  # fmt: skip


def find(train, test, **work):
    mixtures = {"mix": pa.Table.from_pylist([{**r, "part": r["source"]} for r in train], schema=records.MIXTURE)}
    return overlap.find({**WORK, **work}, mixtures, {"suite": pa.Table.from_pylist(test, schema=records.ROWS)})


def hits(*arguments, **work):
    return [(r["prompt_id"], r["train_id"], r["kind"], r["breach"]) for r in find(*arguments, **work).to_pylist()]


def test_a_source_prompt_is_found_in_any_language_and_only_among_sources_of_one_origin():
    train = [row("1-fr", "Bonjour tout le monde", "b", "1", language="fr"), row("2-fr", "Salut", "c", "2")]
    test = [row("1-en", "Hello everybody", "a", "1"), row("2-en", "Hi", "a", "2")]
    assert hits(train, test) == [("1-en", "1-fr", "source_prompt", True)]


def test_a_long_prompt_is_found_within_another_and_in_answers_without_case_and_punctuation():
    said = f"Well: {LONG.upper().replace(' ', ', ')}?!"
    for train in (row("t", said, "c"), row("t", "x", "c", completion=said), row("t", "x", "c", rejected=said)):
        assert hits([train], [row("p", LONG)]) == [("p", "t", "words", True)]


def test_a_phrase_in_common_is_listed_and_is_no_breach():
    words = LONG.split()
    phrase = " ".join([*words[:14], *OTHER.split()])
    (found,) = find([row("t", phrase, "c")], [row("p", LONG)]).to_pylist()
    assert found["share"] == pytest.approx(2 / (len(words) - 12)) and not found["breach"]
    assert hits([row("t", phrase, "c")], [row("p", LONG)], share=0.2) == [("p", "t", "words", True)]
    assert not hits([row("t", " ".join(words[:12]), "c")], [row("p", LONG)]), "twelve words are a phrase"


def test_a_run_does_not_go_from_one_text_to_the_next():
    words = LONG.split()
    half = len(words) // 2
    train = row("t", " ".join(words[:half]), "c", completion=" ".join(words[half:]))
    assert not hits([train], [row("p", LONG)])


def test_a_short_prompt_is_compared_as_a_whole_with_whole_prompts():
    assert hits([row("t", "Tell me, why?", "c")], [row("p", "tell me why")]) == [("p", "t", "whole", True)]
    assert not hits([row("t", "please tell me why", "c")], [row("p", "tell me why")])
    assert not hits([row("t", "x", "c", completion="tell me why")], [row("p", "tell me why")])
    assert not hits([row("t", "?", "c")], [row("p", "!")]), "nothing is not the same as nothing"


def test_text_without_spaces_is_compared_by_characters():
    said = "请用你自己的话告诉我蒸汽机是怎样工作的以及为什么它每天都需要那么多的水来保持运转"
    assert is_unspaced(said) and not is_unspaced("नमस्ते दुनिया") and not is_unspaced("안녕 세상")
    assert hits([row("t", f"老师说{said}", "c")], [row("p", said)]) == [("p", "t", "characters", True)]
    assert not hits([row("t", said[:20], "c")], [row("p", said)])
    assert hits([row("t", "你好!", "c")], [row("p", "你好")]) == [("p", "t", "whole", True)]


def test_of_several_rows_that_share_one_the_most_similar_is_named():
    words = LONG.split()
    train = [row("a", " ".join(words[:15]), "c"), row("b", LONG, "c"), row("c", " ".join(words[:14]), "c")]
    assert hits(train, [row("p", LONG)]) == [("p", "b", "words", True)]


WORDS = st.lists(st.sampled_from("abcdefg"), max_size=12)


@settings(max_examples=200)
@given(st.lists(WORDS, max_size=6), st.lists(WORDS, max_size=6), st.integers(1, 4))
def test_shares_are_those_of_sets_of_runs(trained, asked, length):
    def runs(units):
        return {tuple(units[at : at + length]) for at in range(len(units) - length + 1)}

    train = [row(f"t{n}", " ".join(units), "c") for n, units in enumerate(trained)]
    test = [row(f"p{n}", " ".join(units)) for n, units in enumerate(asked)]
    expected = {}
    for n, units in enumerate(asked):
        shares = [len(runs(units) & runs(other)) / len(runs(units)) for other in trained if runs(units)]
        if shares and max(shares):
            expected[f"p{n}"] = max(shares)
    found = find(train, test, words=length, share=1.0).to_pylist()
    assert {r["prompt_id"]: r["share"] for r in found if r["kind"] == "words"} == pytest.approx(expected)


def test_the_complaint_names_suite_mixture_how_many_and_what_to_do(tmp_path):
    test = [row(f"p{n}", f"{LONG} {n}") for n in range(5)] + [row("s", "short one")]
    found = find([row("t", f"{LONG} 0", "c"), row("u", "Short one!", "c")], test)
    line = overlap.complaint(found, tmp_path / "all.parquet")
    assert "suite 'suite' and mixture 'mix' have 6 prompts in common (1 by whole, 5 by words; p0, p1, p2, ...)" in line
    assert "without" in line and str(tmp_path / "all.parquet") in line and "\n" not in line
    assert overlap.complaint(find([], test), tmp_path) is None


def test_a_breach_stops_the_stage_and_leaves_all_of_it_beside_what_was_to_be_made(tmp_path):
    for name, rows in (("clean", [row("t", OTHER, "c")]), ("dirty", [row("t", LONG, "c")])):
        table = pa.Table.from_pylist([{**r, "part": "c"} for r in rows], schema=records.MIXTURE)
        records.write(tmp_path / f"{name}.parquet", table, records.MIXTURE, {"rows": name})
    table = pa.Table.from_pylist([row("p", LONG)], schema=records.ROWS)
    records.write(tmp_path / "suite.parquet", table, records.ROWS, {"rows": "s"})
    output, breach = tmp_path / "results/overlap.parquet", tmp_path / "results/overlap-breach.parquet"

    def run(name):
        files = {"mixtures": [Path(f"{name}.parquet")], "suites": [Path("suite.parquet")]}
        names = {"mixtures": [name], "suites": ["suite"]}
        started = start(job("overlap", {"found": [Path("results/overlap.parquet")]}, files, WORK, names), tmp_path)
        return started.communicate()[0], started.returncode

    said, status = run("dirty")
    assert status == 1 and said.count("\n") == 1
    assert "mixture 'dirty' have 1 prompts in common" in said
    assert not output.exists() and len(records.read(breach, records.OVERLAP)) == 1
    said, status = run("clean")
    assert status == 0, said
    assert len(records.read(output, records.OVERLAP)) == 0 and not breach.exists()


@pytest.mark.parametrize("name", ["config.yaml", "tests/configs/nano.yaml"])
def test_the_worlds_mixtures_and_suites_have_sentences_in_common_and_no_prompt(name):
    config = Config.model_validate(yaml.safe_load((ROOT / name).read_text(encoding="utf-8")))
    sources = {}
    for key, source in config.sources.items():
        assert isinstance(source, WorldSource)
        counts = {split: min(count, 300) for split, count in source.per_language.model_dump().items()}
        sources[key] = world.rows(source.world, ["en", "fr"], counts, source.seed, key)
    mixtures = {
        key: mixture.draw(
            {
                "per_language": min(m.per_language, 100),
                "parts": list(m.parts.items()),
                "languages": ["en", "fr"],
                "seed": m.seed,
            },
            sources,
        )
        for key, m in config.mixtures.items()
    }
    suites = {
        key: suite.choose(
            {"source": s.source, "split": s.split, "per_language": None, "languages": ["en"]}, sources[s.source]
        )
        for key, s in config.suites.items()
    }
    found = overlap.find({**WORK, "origins": dict.fromkeys(sources, "world")}, mixtures, suites)
    assert Counter(found["breach"].to_pylist())[True] == 0, found.filter(found["breach"]).to_pylist()[:3]
