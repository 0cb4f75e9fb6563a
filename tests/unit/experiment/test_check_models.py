# ruff: noqa: E501
"""Models name what there is, and merges are of models that go together."""

import json
import re

import pytest

from tests.unit.experiment.checked import CHECKED, REMOVED, changed, check, lines_of
from workflow_scripts.experiment.table_of_models import load

# edits -> beginnings of the lines that must be said, and no others
MISTAKES = {
    "no such parent": ({"models/mix/parent": "bas"}, ["models.mix.parent: no model 'bas'; did you mean base?"]),
    "no such training": ({"models/mix/train": "stf"}, ["models.mix.train: no training 'stf'; did you mean sft?"]),
    "no such merging": ({"models/slerp/merge": "tie"}, ["models.slerp.merge: no merging 'tie'; did you mean ties?"]),
    "no such mixture": ({"models/mix/mixture": "mx"}, ["models.mix.mixture: no mixture 'mx'; did you mean mix?"]),
    "two mistakes in one model": (
        {"models/mix/mixture": "mx", "models/mix/train": "stf", "models/mix/parent": "bas", "models/mix/foo": 1},
        ["models.mix.foo: unknown key", "models.mix.train: no", "models.mix.parent: no", "models.mix.mixture: no"],
    ),
    "no such part": ({"models/mix/parts": ["pretraining"]}, ["models.mix.parts: no part 'pretraining'"]),
    "no such language of a mixture": ({"models/mix/languages": ["hi"]}, ["models.mix.languages: no language 'hi'"]),
    "more than the mixture": ({"models/mix/per_language": 65}, ["models.mix.per_language: 65 of 64 rows"]),
    "no such architecture": ({"models/init/init": "nanno"}, ["models.init.init: no architecture 'nanno'; did you mean nano?"]),
    "no such tokenizer": ({"models/init/tokenizer": "words"}, ["models.init.tokenizer: no mixture 'words'"]),
    "slerp of three": ({"models/slerp/parents": ["general", "safety", "mix"]}, ["models.slerp.parents: slerp takes exactly 2 models, not 3"]),
    "slerp of a pattern": ({"models/slerp/parents": ["*"], "models/slerp/merge": "slerp"}, ["models.slerp.parents: slerp takes exactly 2 models, not 5"]),
    "no base": (
        {"merging/ties/base": REMOVED, "models/ties": {"merge": "ties", "parents": ["mix", "general"]}},
        ["models.ties.merge: ties needs a base; set merging.ties.base to a model"],
    ),
    "no such base": (
        {"merging/ties/base": "bse", "models/ties": {"merge": "ties", "parents": ["mix", "general"]}},
        ["merging.ties.base: no model 'bse'; did you mean base?"],
    ),
    "weights of the wrong length": (
        {"merging/ties/weights": [1, 2, 3], "models/ties": {"merge": "ties", "parents": ["mix", "general"]}},
        ["models.ties.weights: 3 values for 2 parents; give one for all, or one for each"],
    ),
    "density out of range": (
        {"merging/ties/density": 0, "models/ties": {"merge": "ties", "parents": ["mix", "general"]}},
        ["merging.ties.density: must be above 0 and at most 1, not 0"],
    ),
    "t out of range": ({"models/slerp/with": {"t": 1.5}}, ["models.slerp.with.t: must be at least 0 and at most 1, not 1.5"]),
    "weights that cancel out": (
        {"merging/linear": {"method": "linear", "weights": [1, -1]}, "models/linear": {"merge": "linear", "parents": ["mix", "general"]}},
        ["models.linear.weights: sum to 0, and `normalize` divides by that"],
    ),
    "a pattern that matches nothing": ({"models/slerp/parents": ["mono-*", "mix"]}, ["models.slerp.parents: no model matches 'mono-*'", "models.slerp.parents: slerp takes"]),
    "its own parent": ({"models/mix/parent": "mix"}, ["models.mix: is its own ancestor (mix <- mix); break the cycle"]),
    "a cycle": (
        {"models/mix/parent": "slerp", "models/slerp/parents": ["mix", "general"]},
        ["models.mix: is its own ancestor (mix <- slerp <- mix)"],
    ),
    "two cycles": (
        {"models/mix/parent": "mix", "models/general/parent": "safety", "models/safety/parent": "general"},
        ["models.general: is its own ancestor (general <- safety <- general)", "models.mix: is its own ancestor"],
    ),
    "no such folder, and no revision": ({"models/new": {"load": "org/model"}}, ["models.new.revision: no folder 'org/model', and a hub id needs a commit"]),
    "merge of two architectures": (
        {
            "architectures/wide": {**CHECKED["architectures"]["nano"], "hidden_size": 64},
            "models/wide": {"init": "wide", "tokenizer": "pretraining"},
            "models/slerp/parents": ["mix", "wide"],
        },
        ["models.slerp.parents: of different architectures (wide, init: hidden_size is 32, not 64)"],
    ),
    "merge of two vocabularies": (
        {"models/words": {"init": "nano", "tokenizer": "mix"}, "models/slerp/parents": ["mix", "words"]},
        ["models.slerp.parents: of different architectures (words, init: tokenizer is"],
    ),
    "no such baseline": ({"baseline": "bse"}, ["baseline: no model 'bse'; did you mean base?"]),
    "a baseline that does not answer": ({"models/base/evaluate": False}, ["models.base.evaluate: is false, but it is the baseline"]),
    "no such side": ({"contrasts/slerp/mix": "mx"}, ["contrasts.slerp.mix: no model 'mx'"]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])


def test_merges_of_loaded_models_are_compared_before_anything_runs(tmp_path):
    for name, layers in (("one", 2), ("two", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": layers}))
        (tmp_path / name / "model.safetensors").touch()
    (tmp_path / "none").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("{")
    models = {f"models/{name}": {"load": str(tmp_path / name)} for name in ("one", "two", "none", "odd")}
    lines = lines_of({**models, "models/slerp/parents": ["one", "two"]})
    assert len(lines) == 3
    assert lines[0].startswith("models.none.load: ") and "config.json: no such file" in lines[0]
    assert lines[1].startswith("models.odd.load: ") and "not readable as JSON" in lines[1]
    assert "of different architectures (one, two: num_hidden_layers is 3, not 2)" in lines[2]


ADAPTER = {"adapter_config.json": '{"base_model_name_or_path": "BASE"}', "adapter_model.safetensors": ""}
WHOLE = {"config.json": '{"model_type": "llama"}', "model.safetensors": ""}


def folders(tmp_path, **contents):
    """Folders with files in them; BASE in a text is the folder `base`."""
    for name, files in contents.items():
        (tmp_path / name).mkdir()
        for file, text in files.items():
            (tmp_path / name / file).write_text(text.replace("BASE", str(tmp_path / "base")))
    return {f"models/{name}": {"load": str(tmp_path / name)} for name in contents}


def test_an_adapter_is_made_from_the_row_that_it_names_or_that_loads_what_it_names(tmp_path):
    rows = folders(tmp_path, whole=WHOLE, lora=ADAPTER)
    (tmp_path / "whole").rename(tmp_path / "base")
    rows["models/whole"] = {"load": str(tmp_path / "base")}
    assert load(changed(rows)).models["lora"].parents == ("whole",)
    rows["models/lora"]["base"] = "mix"
    assert load(changed(rows)).models["lora"].parents == ("mix",)
    del rows["models/whole"], rows["models/lora"]["base"]
    assert load(changed(rows)).models["lora"].parents == (), "its base is the local folder"
    hub = {"models/lora": {"load": "org/lora", "revision": "0" * 40, "base": "mix"}}
    assert load(changed(hub)).models["lora"].parents == ("mix",)


@pytest.mark.parametrize(
    ("files", "row", "told"),
    [
        (ADAPTER, {"base": "nonesuch"}, r"base: .*nonesuch"),
        (WHOLE, {"base": "mix"}, r"has no adapter_config\.json, so it is no adapter; remove `base`"),
        ({**ADAPTER, "model.safetensors": ""}, {}, r"holds an adapter .* beside a whole model"),
        (ADAPTER, {}, r"is an adapter of .*base, which is no local folder; load that model by a row of its own"),
        ({**WHOLE, "config.json": '{"quantization_config": {"quant_method": "gptq"}}'}, {}, r"quantised \(gptq\)"),
        ({**WHOLE, "model.safetensors.index.json": '{"weight_map": {"a": "b"}}'}, {}, r"holds weights twice"),
    ],
)
def test_a_folder_that_is_no_model_and_no_adapter_is_refused_when_the_config_is_read(tmp_path, files, row, told):
    rows = folders(tmp_path, one=files)
    (line,) = lines_of({"models/one": {**rows["models/one"], **row}})
    assert line.startswith("models.one.") and re.search(told, line), line


def test_a_hub_model_with_a_revision_is_accepted_unread():
    assert "hub" in load(changed({"models/hub": {"load": "org/model", "revision": "0" * 40}})).models


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"method": "ties", "weight": 1, "density": 0.5}, "merging.mine.weight: is called `weights` here"),
        ({"method": "slerp", "t": [0, 0.5, 1]}, "merging.mine.t: is a list; a gradient is {layers: [...]"),
        ({"method": "slerp", "t": [{"filter": "mlp", "value": 1}]}, "merging.mine.t: has filters, which are not read"),
        ({"method": "slerp", "parameters": {"t": 1}}, "merging.mine.parameters: write what it holds beside `method`"),
        ({"method": "mine"}, "merging.mine.method: no method 'mine'; did you mean"),
    ],
)
def test_what_is_spelled_as_in_mergekits_files_is_said_as_it_is_spelled_here(settings, said):
    check({"merging/mine": settings}, [said])


def test_the_base_is_no_parent():
    edits = {"models/ties": {"merge": "ties", "parents": ["mix", "general", "base"]}}
    check(edits, ["models.ties.parents: name the base 'base', whose task vector is zero; leave it out"])


def test_the_tokenizer_is_kept_of_a_model_that_goes_in():
    chosen = {"models/slerp/with": {"tokenizer_from": "base"}}
    check(chosen, ["models.slerp.tokenizer_from: 'base' is no parent and no base; name one of them"])
    recipes = [
        load(changed({"models/slerp/with": {"tokenizer_from": name}})).models["slerp"].merge_recipe(0)
        for name in ("general", "safety")
    ]
    assert [recipe["tokenizer_from"] for recipe in recipes] == [0, 1]
