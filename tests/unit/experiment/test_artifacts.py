# ruff: noqa: E501
"""An edit of the experiment changes the params of exactly what depends on it."""

import copy
import re
from pathlib import Path

import pytest

from tests.unit.experiment.everything import BEFORE, CHECKED, PARAMS, edited, named, params
from workflow_scripts.config.fields import declared
from workflow_scripts.config.section import Section
from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load


def put(key, value, *changed):
    """An edit, and patterns of the artifacts whose params it changes, adds or removes."""
    return pytest.param({key: value}, changed, id=f"{key}={value}"[:60])


@pytest.mark.parametrize(
    ("edits", "changed"),
    [
        # What nothing depends on; settings of execution are in a test of their own
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
        put("suites/more", {"source": "redteam", "metric": "harm"}, "suite more", "overlap", "answers .*", "scores .* more", "(table|figure) (?!learning).*"),
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
        put("translators/asked/max_tokens", 99, "source told"),
        put("llms/teller/temperature", 0.3, "source told"),
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
        put("seeds", [0, 1], ".* 1", "(table|figure) .*"),
        put("models/new", CHECKED["models"]["mix"], "model new 0", "(answers|scores .*) new.*"),
        # Answers and scores
        put("generation/max_new_tokens", 8, "answers .*"),
        put("generation/seed", 8),
        put("generation/top_p", 0.5),
        put("judges/other/model", "provider/newer", "scores other .*", "source synthetic"),
        put("judges/other/temperature", 0.5, "scores other .*", "source synthetic"),
        put("judges/other/harm", "harm-short", "scores other .* (redteam|native)", "source synthetic"),
        put("judges/other/preference", "preference-short", "scores other .* general.*"),
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
def test_an_edit_changes_the_params_of_what_depends_on_it_and_no_others(edits, changed):
    after = params(edited(edits))
    different = differences(after)
    assert different == {name for name in PARAMS.keys() | after.keys() if any(re.fullmatch(p, name) for p in changed)}
    for pattern in changed:
        assert any(re.fullmatch(pattern, name) for name in different), pattern


def differences(after):
    return {name for name in PARAMS.keys() | after.keys() if PARAMS.get(name) != after.get(name)}


def executing(section, at=()):
    """The path of every setting of execution, with another value than it has."""
    for name, value in section:
        field = type(section).model_fields.get(name) if isinstance(section, Section) else None
        path = (*at, field.alias or name if field else name)
        if field and declared(field).decides == "execution" and not isinstance(value, Section):
            yield path, another(name, value)
        elif isinstance(value, Section):
            yield from executing(value, path)
        elif isinstance(value, dict):
            yield from executing(value.items(), path)


def another(name, value):
    if name in ("processes", "accumulation"):
        return 2  # divides the batches of CHECKED
    if isinstance(value, bool):
        return not value
    if isinstance(value, float):
        return (value or 1.0) / 2  # many are shares
    if isinstance(value, int):
        return value + 1
    return {"api_base": "http://localhost:1", "weights": "elsewhere", "parallel": "fsdp"}.get(name, 1)


def test_no_setting_of_execution_changes_any_params():
    found = {"/".join(path): value for path, value in executing(load(CHECKED).config)}
    assert {
        *("training/sft/processes", "training/dpo/threads", "training/pretrain/logging_steps"),
        *("training/sft/save_steps", "generation/batch_size", "generation/threads", "generation/tensor_parallel"),
        *("judges/rules/concurrency", "llms/writer/rpm", "translators/nllb/batch_size"),
        *("machine/gpus_per_node", "machine/ask_above/usd", "lengths/prompt", "budget/usd", "power/power"),
    } <= found.keys()
    elsewhere = ("power/harm", "power/win", "judges/rules/batch", "judges/other/batch")  # in tests of their own
    edits = {key: value for key, value in found.items() if not key.startswith(elsewhere)}
    assert differences(params(edited(edits))) == set()


def turned(value):
    """A section with its keys, and those in it, in the opposite order."""
    return {key: turned(value[key]) for key in reversed(value)} if isinstance(value, dict) else value


UNORDERED = [section for section in CHECKED if isinstance(CHECKED[section], dict) and section != "judges"]


@pytest.mark.parametrize("section", [*UNORDERED, "rows of a section", "file"])
def test_the_order_of_entries_and_of_their_keys_changes_nothing(section):
    """But for judges, of which the first is the default, and for rows of tables, which are printed in their order."""
    raw = copy.deepcopy(CHECKED)
    raw["contrasts"]["ties"] = {"merge": "ties", "mix": "mix", "matched": "none"}
    raw["tables"]["contrasts"]["contrasts"] = ["slerp", "ties"]
    raw["suites"] |= {name: {"source": "redteam", "metric": "labels"} for name in ("known", "also")}
    raw["tables"]["judges"] = {"kind": "judges", "caption": "Judges"}
    before = params(raw)
    if section == "file":
        raw = dict(reversed(raw.items()))
    elif section in ("tables", "figures"):
        raw[section] = {name: dict(reversed(item.items())) for name, item in reversed(raw[section].items())}
    elif section in raw:
        raw[section] = turned(raw[section])
    else:
        raw["judges"] = {name: turned(judge) for name, judge in raw["judges"].items()}
    assert params(raw) == before


def test_a_merges_parents_have_an_order_and_a_languages_list_too():
    assert differences(params(edited({"models/slerp/parents": ["safety", "general"]}))) == {"model slerp 0"}
    assert "mixture mix" in differences(params(edited({"languages": ["fr", "en"]})))


def test_renaming_a_model_changes_its_inputs_and_never_its_settings():
    raw = copy.deepcopy(CHECKED)
    raw["models"] = {"generic" if name == "general" else name: row for name, row in raw["models"].items()}
    for name in ("slerp", "ties", "dare"):
        raw["models"][name] = {**raw["models"][name], "parents": ["generic", "safety"]}
    raw["figures"]["learning"]["rows"]["General"] = "generic"
    after = named(raw)
    assert after["model generic 0"].job.work == BEFORE["model general 0"].job.work
    for merge in ("slerp", "ties", "dare"):
        old, new = BEFORE[f"model {merge} 0"], after[f"model {merge} 0"]
        assert old.job.work == new.job.work
        assert new.recipe.inputs["parents"] == ["generic", "safety"]


def test_a_renamed_entry_of_training_or_merging_changes_nothing():
    raw = copy.deepcopy(CHECKED)
    raw["training"]["tuning"] = raw["training"].pop("sft")
    raw["merging"]["mean"] = raw["merging"].pop("slerp")
    for row in raw["models"].values():
        row |= {"train": "tuning"} if row.get("train") == "sft" else {}
        row |= {"merge": "mean"} if row.get("merge") == "slerp" else {}
    assert params(raw) == PARAMS


def test_every_file_is_of_one_artifact_and_every_artifact_is_found_by_its_wildcards():
    found = artifacts(load(CHECKED))
    files = [path for artifact in found.all for paths in artifact.outputs.values() for path in paths]
    assert len(files) == len(set(files)) == len(found.by_path)
    for artifact in found.all:
        assert found.of(artifact.stage.name, artifact.wildcards) is artifact
        assert all(artifact.wildcards[name] in values for name, values in found.values(artifact.stage.name).items())
    with pytest.raises(KeyError):
        found.of("mixture", {"experiment": "checked", "mixture": "none"})


def test_what_an_artifact_is_made_from_is_found_by_its_files():
    found = artifacts(load(CHECKED))
    (slerp,) = (one for one in found.all if one.path.parts[-2] == "slerp" and one.path.name == "manifest.json")
    assert [needed.wildcards["model"] for needed in found.made_from(slerp)] == ["general", "safety"]
    (table,) = (one for one in found.all if one.path == Path("results/checked/tables/table1.md"))
    assert {needed.stage.name for needed in found.made_from(table)} == {"judge", "merge"}
    for artifact in found.all:
        for needed in found.made_from(artifact):
            assert needed.path in found.by_path and needed is not artifact


def test_records_of_how_artifacts_were_made_are_files_of_their_own():
    found = artifacts(load(CHECKED)).all
    records = [artifact.record for artifact in found]
    assert len(set(records)) == len(records)
    assert not set(records) & {path for one in found for paths in one.outputs.values() for path in paths}


def test_every_seed_is_a_chain_of_its_own():
    after = named(edited({"seeds": [0, 1]}))
    for name in ("init", "base", "mix", "after"):
        zero, one = (after[f"model {name} {seed}"].recipe.settings["seed"] for seed in (0, 1))
        assert one - zero == 1000
    assert after["model dare 1"].recipe.settings["seed"] == 1000
    assert after["model slerp 0"].params == after["model slerp 1"].params, "a merge draws nothing: its parents differ"


def test_every_recipe_names_its_units_of_code_and_the_packages_it_depends_on():
    for artifact in BEFORE.values():
        unit, *_ = artifact.units
        assert unit.partition(":")[0] == artifact.recipe.stage == artifact.stage.command
        packages = {*artifact.stage.packages, *artifact.entry.packages} - {"vllm"}
        assert set(artifact.recipe.code) == {*artifact.units, *packages}
