"""What sources, mixtures and the comparison of both with suites are made of."""

import pytest

from tests.unit.experiment.everything import BEFORE, CHECKED, edited, named, params
from workflow_scripts.llm import prompts
from workflow_scripts.llm.parameters import request_parameters

REQUEST = {"model", "temperature", "max_tokens", "seed"}


def recipe(name, found=BEFORE):
    return found[name].recipe


def test_words_of_the_world_are_part_of_its_sources_alone(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "language": "en"}\n')
    after = named(edited({"sources/mine": {"file": str(tmp_path / "mine.jsonl")}}))
    assert recipe("source general", after).settings["lexicon"]
    assert "lexicon" not in recipe("source mine", after).settings
    assert after["source mine"].files["file"] == [tmp_path / "mine.jsonl"]


def test_files_of_a_local_dataset_or_translator_are_inputs(tmp_path):
    (tmp_path / ".git").mkdir()
    for name in ("b.parquet", "a.parquet", ".git/index"):
        (tmp_path / name).write_text("")
    local = edited({"sources/native/dataset": str(tmp_path), "translators/nllb/model": str(tmp_path)})
    for row in (local["sources"]["native"], local["translators"]["nllb"]):
        del row["revision"]
    after = named(local)
    files = [tmp_path / "a.parquet", tmp_path / "b.parquet"]
    assert after["source native"].files["files"] == after["source french"].files["model"] == files
    assert BEFORE["source native"].files["files"] == []


def test_a_licence_is_an_input_of_what_is_made_and_no_setting():
    assert recipe("source native").inputs["licence"] == "Apache-2.0"
    assert recipe("source french").inputs["licence"] == "CC-BY-NC-4.0"
    assert recipe("source told").inputs["licence"] is None
    after = recipe("source french", named(edited({"translators/nllb/licence": "mine"})))
    assert after.settings == recipe("source french").settings and after.inputs["licence"] == "mine"


def test_training_and_evaluation_are_compared_by_what_their_sources_go_back_to():
    overlap = recipe("overlap")
    assert overlap.inputs == {
        "mixtures": ["general", "mix", "pretraining", "safety"],
        "suites": ["general", "native", "redteam"],
    }
    origins = recipe("overlap", named(edited({"suites/native/source": "told"}))).settings["origins"]
    assert origins["told"] == overlap.settings["origins"]["native"] == "dataset CohereLabs/aya_redteaming"
    assert origins["general"] == origins["safety"] == "world"


def test_a_mixture_that_no_training_learns_from_is_not_compared():
    after = params(edited({"mixtures/unused": CHECKED["mixtures"]["mix"]}))
    assert after["overlap"] == BEFORE["overlap"].params


@pytest.mark.parametrize("part", ["deciding", "all"])
def test_a_synthesis_is_told_what_each_is_asked_and_not_how_it_is_reached(part):
    settings = getattr(BEFORE["source synthetic"].settings, part)
    assert [asked["key"] for asked in settings["completers"]] == ["first", "second"]
    assert settings["judge"]["harm"].startswith("You are an expert in content safety")
    for asked in (settings["rephraser"], *settings["completers"], settings["judge"]):
        assert {"key", "model"} <= asked.keys() <= REQUEST | {"key", "harm"}
    execution = BEFORE["source synthetic"].job.execution
    assert execution["llms"].keys() == {"writer", "first", "second"} and execution["judges"].keys() == {"other"}
    access = {"api_base", "concurrency", "rpm", "tpm", "timeout", "retries", "budget"}
    assert execution["llms"]["writer"].keys() == access == execution["judges"]["other"].keys() - {"batch", "poll"}


def test_what_is_neutral_is_in_no_recipe_and_in_every_request():
    """A request without its temperature would be another one, in the ledger and for the provider."""
    settings = BEFORE["source synthetic"].settings
    assert "temperature" not in settings.deciding["judge"]
    assert request_parameters(settings.all["judge"]) == {"temperature": 0.0, "max_tokens": 256}
    assert request_parameters(settings.all["rephraser"]) == {"temperature": 1.0, "max_tokens": 1024}
    translator = BEFORE["source told"].settings
    assert "max_tokens" not in translator.deciding["translator"]["llm"]
    assert request_parameters(translator.all["translator"]["llm"]) == {"temperature": 1.0, "max_tokens": 1024}


def test_how_a_translator_works_is_no_part_of_what_its_translations_are_kept_by():
    found = BEFORE["source french"]
    assert found.job.execution == {"batch_size": 16}
    assert found.settings.all["translator"].keys() == {
        *("model", "revision", "max_tokens", "precision", "beams", "codes"),
    }
    asked = BEFORE["source told"]
    assert asked.settings.all["translator"]["prompt"] == prompts.template("translate-v1")
    assert asked.job.execution["concurrency"] == 16 and asked.entry.asks_provider
    assert not found.entry.asks_provider and found.units == ("translate", "translator:nllb")


def test_a_synthesis_depends_on_how_harm_is_judged():
    assert "judge:harm" in recipe("source synthetic").code
