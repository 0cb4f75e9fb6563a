# ruff: noqa: E501
"""An edit of the experiment changes the recipes of exactly what depends on it."""

import copy
import json
import re
from pathlib import Path

import pytest
import yaml

from workflow_scripts.base import hashing
from workflow_scripts.config.models import Train
from workflow_scripts.experiment.recipes import ACCESS, WORK, Recipes
from workflow_scripts.experiment.table_of_models import load
from workflow_scripts.metrics import METRICS
from workflow_scripts.metrics.measures import MEASURES

CHECKED = yaml.safe_load((Path(__file__).parents[2] / "configs/checked.yaml").read_text(encoding="utf-8"))
CHECKED["merging"]["dare"] = {"method": "dare_ties", "base": "base", "weights": 1, "density": 0.5, "seed": 0}
CHECKED["models"]["ties"] = {"merge": "ties", "parents": ["general", "safety"]}
CHECKED["models"]["dare"] = {"merge": "dare", "parents": ["general", "safety"]}
CHECKED["models"]["after"] = {"train": "dpo", "parent": "slerp", "mixture": "mix"}
CHECKED["models"]["mono"] = {"train": "sft", "parent": "base", "mixture": "mix", "languages": ["fr"]}
CHECKED["tables"]["plain"] = {"caption": "No reference", "rows": {"Mix": "mix", "SLERP": "slerp"}}
CHECKED["tables"]["groups"] = {"caption": "Groups", "rows": {"A": {"X": "mix", "Y": "slerp"}}}
CHECKED["judges"]["other"] = {"model": "provider/model"}
CHECKED["llms"] = {
    name: {"model": f"provider/{name}", "temperature": 1.0} for name in ("writer", "first", "second", "teller")
}
CHECKED["translators"] = {"nllb": {"model": "facebook/nllb-200-3.3B", "revision": "a" * 40}, "asked": {"llm": "teller"}}
CHECKED["sources"]["native"] = {
    "dataset": "CohereLabs/aya_redteaming",
    "revision": "b" * 40,
    "format": "aya_redteaming",
    "splits": {"train": 0.5, "test": 0.5},
}
CHECKED["sources"]["french"] = {"translate": "native", "translator": "nllb", "languages": ["fr"]}
CHECKED["sources"]["told"] = {"translate": "native", "translator": "asked", "languages": ["fr"]}
CHECKED["suites"]["native"] = {"source": "native", "metric": "harm"}
CHECKED["sources"]["synthetic"] = {
    **{"synthesise": "redteam", "rephraser": "writer", "completers": ["first", "second"], "judge": "other"},
    **{"variants": 3, "splits": ["test"]},
}


def recipes(raw):
    """Every recipe of an experiment, by what it makes."""
    experiment = load(raw)
    made = Recipes(experiment)
    config = experiment.config
    found = {f"source {name}": made.source(name) for name in config.sources}
    found |= {f"mixture {name}": made.mixture(name) for name in config.mixtures}
    found |= {f"suite {name}": made.suite(name) for name in config.suites}
    found["overlap"] = made.overlap()
    for seed in config.seeds:
        found |= {f"model {name} {seed}": made.model(name, seed) for name in experiment.models}
    for model in experiment.evaluated:
        found[f"answers {model}"] = made.generation(model)
    for asked in (asked for judge in config.judges for asked in made.judged(judge)):
        versus = f" vs {asked.against}" if asked.against else ""
        found[f"scores {asked.judge} {asked.model} {asked.suite}{versus}"] = made.judgment(*asked)
    for judge, suite in made.labelled():
        found[f"labels {judge} {suite}"] = made.judgment(judge, None, suite)
    found |= {f"table {name}": made.table(name) for name in config.tables}
    return found | {f"figure {name}": made.figure(name) for name in config.figures}


BEFORE = recipes(CHECKED)


def edited(edits):
    raw = copy.deepcopy(CHECKED)
    for key, value in edits.items():
        *path, last = key.split("/")
        section = raw
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return raw


def put(key, value, *changed):
    """An edit, and patterns of the artifacts whose recipes it changes, adds or removes."""
    return pytest.param({key: value}, changed, id=f"{key}={value}"[:60])


@pytest.mark.parametrize(
    ("edits", "changed"),
    [
        # How work is done, not what it gives
        put("judges/rules/concurrency", 2),
        put("judges/rules/rpm", 60),
        put("judges/rules/timeout", 5),
        put("judges/rules/api_base", "http://localhost:1"),
        put("training/sft/save_steps", 7),
        put("judges/other/poll", 5),
        put("llms/writer/concurrency", 2),
        put("llms/first/tpm", 1000),
        put("llms/second/api_base", "http://localhost:1"),
        put("llms/unused", {"model": "provider/unused"}),
        put("keep_merges", False),
        put("training/unused", {**CHECKED["training"]["sft"], "epochs": 9}),
        put("merging/unused", {"method": "slerp", "t": 0.1}),
        put("mixtures/unused", CHECKED["mixtures"]["mix"], "mixture unused"),
        # Data
        put("sources/general/seed", 99, "source general"),
        put("sources/redteam/per_language", {"test": 12}, "source redteam"),
        put("llms/writer/temperature", 0.5, "source synthetic"),
        put("llms/first/model", "provider/another", "source synthetic"),
        put("sources/synthetic/variants", 4, "source synthetic"),
        put("sources/synthetic/completers", ["second", "first"], "source synthetic"),
        put("sources/synthetic/benign", True, "source synthetic"),
        put("sources/synthetic/synthesise", "general", "source synthetic"),
        put("mixtures/mix/parts", {"general": 0.5, "safety": 0.5}, "mixture mix"),
        put("mixtures/mix/seed", 1, "mixture mix"),
        put("mixtures/mix/languages", ["fr", "en"], "mixture mix"),
        put("mixtures/mix/per_language", 62, "mixture mix", "(table|figure) (contrasts|table1|plain|groups|figure2|learning)"),
        put("suites/redteam/per_language", 5, "suite redteam"),
        put("suites/more", {"source": "redteam", "metric": "harm"}, "suite more", "overlap", "answers .*", "scores .* more"),
        put("suites/native/source", "french", "suite native", "overlap"),
        put("overlap/share", 0.4, "overlap"),
        put("overlap/words", 8, "overlap"),
        # Published datasets and translations: where rows come from never decides what is done with them
        put("sources/native/revision", "c" * 40, "source native"),
        put("sources/native/split_seed", 1, "source native"),
        put("sources/native/limit", 7, "source native"),
        put("sources/native/without", ["x"], "source native"),
        put("sources/native/licence", "mine", "source native"),
        put("sources/native/languages", ["fr", "en"], "source native"),
        put("sources/french/minimum", 0.5, "source french"),
        put("sources/french/languages", ["en"], "source french"),
        put("sources/french/translator", "asked", "source french"),
        put("translators/nllb/beams", 1, "source french"),
        put("translators/nllb/revision", "c" * 40, "source french"),
        put("translators/nllb/licence", "mine", "source french"),
        put("translators/nllb/batch_size", 1),
        put("translators/asked/max_tokens", 99, "source told"),
        put("llms/teller/temperature", 0.3, "source told"),
        put("llms/teller/concurrency", 3),
        put("llms/teller/api_base", "http://localhost:1"),
        put("translators/unused", {"llm": "teller"}),
        put("languages", ["fr", "en"], "source .*", "mixture .*", "suite .*", "(table|figure) .*"),
        put("languages", ["en", "fr", "es"], "source .*", "mixture .*", "suite .*", "scores .*", "table .*", "figure .*"),
        # Models
        put("architectures/nano/initializer_range", 0.1, "model init 0"),
        put("models/init", {"init": "nano", "tokenizer": "pretraining", "seed": 1}, "model init 0"),
        put("models/init", {"init": "nano", "tokenizer": "mix"}, "model init 0"),
        put("training/dpo/learning_rate", 1e-5, "model after 0"),
        put("training/dpo/beta", 0.2, "model after 0"),
        put("training/sft/beta", 0.2),
        put("training/sft/loss_type", "ipo"),
        put("training/dpo/packing", True),
        put("training/sft/packing", True, "model (general|safety|mix|mono) 0"),
        put("training/pretrain/threads", 2, "model base 0"),
        put("models/mix/with", {"learning_rate": 1e-4}, "model mix 0"),
        put("models/mix/with", {"epochs": 2}, "model mix 0", "(table|figure) (contrasts|table1|plain|groups|figure2|learning)"),
        put("models/mix/reseed", 1, "model mix 0"),
        put("models/mono/languages", ["en"], "model mono 0"),
        put("models/mono/evaluate", False, "(answers|scores .*) mono.*"),
        put("models/slerp/parents", ["safety", "general"], "model slerp 0"),
        put("models/ties/parents", ["safety", "general"], "model ties 0"),
        put("models/slerp/with", {"t": 0.4}, "model slerp 0"),
        put("merging/ties/density", 0.4, "model ties 0"),
        put("merging/ties/weights", [1, 0.5], "model ties 0"),
        put("merging/ties/weights", [1.0, 1.0]),
        put("merging/ties/base", "init", "model ties 0"),
        put("merging/dare/seed", 1, "model dare 0"),
        put("seeds", [0, 1], "model .* 1"),
        put("models/new", CHECKED["models"]["mix"], "model new 0", "(answers|scores .*) new.*"),
        # Answers and scores
        put("generation/max_new_tokens", 8, "answers .*"),
        put("generation/seed", 8),
        put("generation/top_p", 0.5),
        put("judges/other/model", "provider/newer", "scores other .*", "source synthetic"),
        put("judges/other/temperature", 0.5, "scores other .*", "source synthetic"),
        put("judges/other/harm", "preference-v1", "scores other .* (redteam|native)", "source synthetic"),
        put("judges/other/preference", "harm-v1", "scores other .* general.*"),
        put("judges/third", {"model": "provider/model"}, "scores third .*"),
        # Items
        put("tables/table1/caption", "Other words", "table table1"),
        put("tables/table1/metrics", ["harm"], "table table1"),
        put("tables/table1/rows", {"SLERP": "slerp", "Mix": "mix"}, "table table1"),
        put("tables/table1/reference", None, "table table1"),
        put("tables/plain/rows", {"SLERP": "slerp", "Mix": "mix"}, "table plain"),
        put("tables/plain/rows", {"Mix": "mix", "SLERP": "ties"}, "table plain"),
        put("tables/groups/rows", {"A": {"Y": "slerp", "X": "mix"}}, "table groups"),
        put("tables/table1/judge", "other", "table table1"),
        put("figures/figure2/colors", {"Mix": "red"}, "figure figure2"),
        put("figures/learning/metrics", ["learning_rate"], "figure learning"),
        put("contrasts/slerp/mix", "mono", "table contrasts", "scores .* slerp general vs .*"),
        put("contrasts/new", {"mix": "mix", "merge": "ties", "matched": "none"}, "table contrasts", "scores .* ties general vs mix"),
        put("suites/redteam/answers_in", "any", "scores .* redteam"),
        put("judges/other/models", ["mix"], "scores other (general|safety|slerp|ties|dare|after|mono) .*"),
        put("power/win", {"variance": 0.3, "matters": 4}),
        put("power/win", {"variance": 0.2, "matters": 5}, "table .*", "figure .*"),
        put("bootstrap/resamples", 300, "(table|figure) .*"),
    ],
)  # fmt: skip
def test_an_edit_changes_the_recipes_of_what_depends_on_it_and_no_others(edits, changed):
    after = recipes(edited(edits))
    different = {name for name in BEFORE.keys() | after.keys() if BEFORE.get(name) != after.get(name)}
    expected = {name for name in BEFORE.keys() | after.keys() if any(re.fullmatch(p, name) for p in changed)}
    assert different == expected
    for pattern in changed:
        assert any(re.fullmatch(pattern, name) for name in different), pattern


def test_renaming_a_model_changes_its_names_and_never_its_work():
    raw = copy.deepcopy(CHECKED)
    raw["models"] = {"generic" if name == "general" else name: row for name, row in raw["models"].items()}
    for name in ("slerp", "ties", "dare"):
        raw["models"][name] = {**raw["models"][name], "parents": ["generic", "safety"]}
    raw["figures"]["learning"]["rows"]["General"] = "generic"
    after = recipes(raw)
    assert json.loads(after["model generic 0"])["work"] == json.loads(BEFORE["model general 0"])["work"]
    for merge in ("slerp", "ties", "dare"):
        old, new = json.loads(BEFORE[f"model {merge} 0"]), json.loads(after[f"model {merge} 0"])
        assert old["work"] == new["work"]
        assert new["names"]["parents"] == ["generic", "safety"]


def test_recipes_are_canonical_whatever_the_order_of_keys():
    def turned(value):
        if isinstance(value, dict):
            return {key: turned(value[key]) for key in reversed(value)}
        return value

    raw = copy.deepcopy(CHECKED)
    for section in ("training", "generation", "bootstrap", "architectures", "merging"):
        raw[section] = turned(raw.get(section, {}))
    assert recipes(raw) == BEFORE
    for text in BEFORE.values():
        assert text == hashing.canonical(json.loads(text))


def test_every_seed_is_a_chain_of_its_own():
    after = recipes(edited({"seeds": [0, 1]}))
    for name in ("init", "base", "mix", "after"):
        zero, one = (json.loads(after[f"model {name} {seed}"])["work"]["seed"] for seed in (0, 1))
        assert one - zero == 1000
    assert json.loads(after["model dare 1"])["work"]["seed"] == 1000
    assert after["model slerp 0"] == after["model slerp 1"], "a merge draws nothing: its parents differ by content"


def test_every_stage_names_its_work_and_the_versions_it_depends_on():
    stages = {json.loads(text)["stage"] for text in BEFORE.values()}
    assert stages == WORK.keys() - {"load", "submit", "collect"}
    for text in BEFORE.values():
        recipe = json.loads(text)
        assert set(recipe) == {"stage", "work", "names", "code"}
        assert set(recipe["work"]["versions"]) == set(WORK[recipe["stage"]][2])
        assert not recipe["work"]["code"].keys() & recipe["code"].keys()


def test_rows_of_registries_count_where_they_are_chosen_and_nowhere_else():
    def rows(name, place):
        parts = [part.removeprefix(f"{place}.").split(".") for part in json.loads(BEFORE[name])["work"]["code"]]
        return {part[0] for part in parts if len(part) == 2 and not part[0].startswith("_") and part[1].isupper()}

    assert rows("scores rules mix redteam", "metrics") & set(METRICS) == {"harm"}
    assert rows("source synthetic", "metrics") & set(METRICS) == {"harm"}
    assert rows("table plain", "metrics.measures") & set(MEASURES) == {"harm", "harmful", "win"}
    assert "paper.tables.cells.render" in json.loads(BEFORE["table plain"])["work"]["code"]
    assert "paper.tables.verdicts.render" not in json.loads(BEFORE["table plain"])["work"]["code"]


def test_the_rules_are_part_of_what_the_miniatures_judge_is_asked_by_and_of_no_other():
    rules, other = (json.loads(BEFORE[f"scores {judge} mix redteam"]) for judge in ("rules", "other"))
    assert re.fullmatch(r"mixmerge/rules-[0-9a-f]{8}", rules["work"]["model"])
    assert other["work"]["model"] == "provider/model"


def test_words_of_the_world_are_part_of_its_sources_alone(tmp_path):
    (tmp_path / "mine.jsonl").write_text('{"prompt": "a", "language": "en"}\n')
    after = recipes(edited({"sources/mine": {"file": str(tmp_path / "mine.jsonl")}}))
    assert json.loads(after["source general"])["work"]["lexicon"]["concepts"]
    assert not json.loads(after["source mine"])["work"].get("lexicon")


def test_the_baseline_is_not_compared_with_itself():
    judged = Recipes(load(CHECKED)).judged("rules")
    assert [asked.suite for asked in judged if asked.model == "base"] == ["redteam", "native"]
    assert [asked.suite for asked in judged if asked.model == "mix"] == ["general", "redteam", "native"]


def test_the_sides_of_a_contrast_are_compared_with_each_other_on_suites_of_preference():
    judged = Recipes(load(CHECKED)).judged("rules")
    direct = [asked for asked in judged if asked.against]
    assert direct == [("rules", "slerp", "general", "mix")]
    assert direct[0].path == "scores/rules/slerp/general.vs.mix.parquet"


def test_a_judge_of_some_models_judges_the_baseline_too_and_contrasts_only_if_it_knows_both_sides():
    made = Recipes(load(edited({"judges/other/models": ["slerp"]})))
    assert {asked.model for asked in made.judged("other")} == {"base", "slerp"}
    assert not [asked for asked in made.judged("other") if asked.against]


def test_labelled_answers_are_judged_by_every_judge_and_answered_by_no_model():
    labelled = {"source": "redteam", "metric": "labels"}
    made = Recipes(load(edited({"suites/known": labelled, "tables/judges": {"kind": "judges", "caption": "Judges"}})))
    assert "known" not in made.answered_suites()
    assert made.item_labels("tables", "judges") == [("rules", "known"), ("other", "known")]
    assert made.item_labels("tables", "table1") == []
    assert not [asked for judge in ("rules", "other") for asked in made.judged(judge) if asked.suite == "known"]


def test_an_item_reads_direct_comparisons_only_where_it_shows_them():
    made = Recipes(load(edited({"tables/contrasts/metrics": ["harm", "direct"]})))
    assert [asked.against for asked in made.item_scores("tables", "contrasts") if asked.against] == ["mix"]
    assert not [asked for asked in made.item_scores("tables", "table1") if asked.against]
    assert made.item_scores("figures", "learning") == []


def test_an_item_of_some_suites_reads_no_others():
    made = Recipes(load(edited({"tables/table1/suites": ["redteam"], "tables/table1/metrics": ["harm"]})))
    assert {asked.suite for asked in made.item_scores("tables", "table1")} == {"redteam"}
    assert {asked.suite for asked in made.item_scores("tables", "contrasts")} == {"redteam", "native", "general"}


def test_faults_are_part_of_what_the_faulty_judge_is_asked_by():
    after = recipes(edited({"judges/faulty": {"model": "mixmerge/rules", "faults": {"unreadable": 0.1}}}))
    rules, faulty = (json.loads(after[f"scores {judge} mix redteam"])["work"]["model"] for judge in ("rules", "faulty"))
    assert faulty.startswith(f"{rules}-")


def test_an_item_draws_on_its_rows_their_references_and_the_baseline():
    made = Recipes(load(CHECKED))
    assert made.item_models("tables", "table1")[0] == "base"
    assert set(made.item_models("tables", "table1")) == {"base", "mix", "slerp"}
    assert set(made.item_models("tables", "contrasts")) == {"base", "mix", "slerp"}
    assert made.item_models("figures", "learning") == ["mix", "general"]
    work = json.loads(made.table("table1"))["work"]
    assert work["learned"]["mix"] == {"rows": 128, "examples": 128, "steps": 4}
    assert ["slerp", "mix", []] in work["matched"]


def test_a_licence_is_a_name_of_what_is_made_and_no_work():
    native, french = (json.loads(BEFORE[f"source {name}"]) for name in ("native", "french"))
    assert native["names"]["licence"] == "Apache-2.0" and french["names"]["licence"] == "CC-BY-NC-4.0"
    assert json.loads(BEFORE["source told"])["names"]["licence"] is None
    after = json.loads(recipes(edited({"translators/nllb/licence": "mine"}))["source french"])
    assert after["work"] == french["work"] and after["names"]["licence"] == "mine"


def test_training_and_evaluation_are_compared_by_what_their_sources_go_back_to():
    overlap = json.loads(BEFORE["overlap"])
    assert overlap["names"] == {
        "mixtures": ["pretraining", "general", "safety", "mix"],
        "suites": ["general", "redteam", "native"],
    }
    origins = json.loads(recipes(edited({"suites/native/source": "told"}))["overlap"])["work"]["origins"]
    assert origins["told"] == overlap["work"]["origins"]["native"] == "dataset CohereLabs/aya_redteaming"
    assert origins["general"] == origins["safety"] == "world"


def test_a_mixture_that_no_training_learns_from_is_not_compared():
    assert recipes(edited({"mixtures/unused": CHECKED["mixtures"]["mix"]}))["overlap"] == BEFORE["overlap"]


def test_a_synthesis_is_told_what_each_is_asked_and_not_how_it_is_reached():
    work = json.loads(BEFORE["source synthetic"])["work"]
    assert [asked["key"] for asked in work["completers"]] == ["first", "second"]
    assert work["judge"]["harm"].startswith("You are an expert in content safety")
    for asked in (work["rephraser"], *work["completers"], work["judge"]):
        assert not asked.keys() & ACCESS and {"model", "temperature", "max_tokens", "seed"} <= asked.keys()
    how = json.loads(Recipes(load(CHECKED)).how())
    assert how["llms"].keys() == CHECKED["llms"].keys() and how["llms"]["writer"].keys() == ACCESS - {
        "batch",
        "poll",
    } | {"budget"}


def batched(raw):
    made = Recipes(load(raw))
    return made.batch("other", "mix"), made.batch("other", None), made.collection("other", "mix"), recipes(raw)


def test_that_a_judge_is_asked_in_batches_is_how_and_not_what():
    raw = edited({"judges/other/model": "openai/gpt-4o", "suites/known": {"source": "redteam", "metric": "labels"}})
    before, single = batched(raw), json.loads(Recipes(load(raw)).how())
    raw["judges"]["other"] |= {"batch": True, "poll": 5}
    assert batched(raw) == before
    how = json.loads(Recipes(load(raw)).how())
    assert (single["judges"]["other"]["batch"], how["judges"]["other"]["batch"]) == (False, True)


def test_what_a_batch_asks_is_all_that_the_judge_is_asked_about_a_model():
    made = Recipes(load(edited({"suites/known": {"source": "redteam", "metric": "labels"}})))
    for model in ("mix", "slerp", "base"):
        judgments = [json.loads(made.judgment(*asked)) for asked in made.judged("other") if asked.model == model]
        recipe = json.loads(made.batch("other", model))
        asked = {(one["suite"], one["baseline"], one["metric"]) for one in recipe["work"]["questions"]}
        assert asked == {(j["names"]["suite"], j["names"]["baseline"], j["work"]["metric"]) for j in judgments}
        for one in judgments:
            assert recipe["work"]["prompts"][one["work"]["metric"]] == one["work"]["prompt"]
            assert recipe["work"]["settings"].items() <= one["work"].items()
        assert recipe["names"] == {"judge": "other", "model": model} and recipe["stage"] == "submit"
    assert [one["suite"] for one in json.loads(made.batch("other", None))["work"]["questions"]] == ["known"]
    assert ("general", "mix") in {
        (one["suite"], one["baseline"]) for one in json.loads(made.batch("other", "slerp"))["work"]["questions"]
    }


@pytest.mark.parametrize(
    ("key", "value", "changes"),
    [
        ("judges/other/max_tokens", 9, True),
        ("judges/other/harm", "preference-v1", True),
        ("suites/more", {"source": "redteam", "metric": "harm"}, True),
        ("judges/other/rpm", 9, False),
        ("judges/rules/max_tokens", 9, False),
        ("tables/table1/caption", "Other words", False),
    ],
)
def test_a_batch_is_handed_in_anew_only_where_other_questions_are_asked(key, value, changes):
    assert (batched(edited({key: value}))[0] != batched(CHECKED)[0]) is changes


def test_how_devices_work_together_counts_only_where_there_are_several():
    def recipe(**settings):
        raw = copy.deepcopy(CHECKED)
        raw["training"]["sft"] |= settings
        return Recipes(load(raw)).model("mix", 0)

    assert recipe() == recipe(parallel="fsdp") == recipe(precompute_reference=True)
    assert len({recipe(), recipe(processes=2), recipe(processes=2, parallel="fsdp")}) == 3


def test_how_names_every_judge_and_training_and_nothing_that_changes_a_result():
    how = json.loads(Recipes(load(CHECKED)).how())
    trained = [name for name, row in load(CHECKED).models.items() if isinstance(row.row, Train)]
    assert how["training"] == {name: {"save_steps": 10 if name == "base" else 2} for name in trained}
    assert how["judges"]["rules"]["concurrency"] == 16
    assert how["translators"]["nllb"] == {"batch_size": 16} and how["translators"]["asked"] == how["llms"]["teller"]
