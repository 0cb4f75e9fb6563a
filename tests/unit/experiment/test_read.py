# ruff: noqa: E501
"""An experiment file is either right, or every mistake in it is told in one line that names the key and what to do."""

import copy
import datetime
import json
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from workflow_scripts.config.models import Train
from workflow_scripts.experiment.read import ConfigError, Experiment, load

ROOT = Path(__file__).parents[3]
CHECKED = yaml.safe_load((ROOT / "tests/configs/checked.yaml").read_text(encoding="utf-8"))
REMOVED = object()


def changed(edits):
    """The experiment with values put at dotted keys, or removed."""
    raw = copy.deepcopy(CHECKED)
    for key, value in edits.items():
        *path, last = key.split("/")
        section = raw
        for part in path:
            section = section.setdefault(part, {}) if isinstance(section, dict) else section[int(part)]
        if value is REMOVED:
            del section[last]
        elif isinstance(section, list):
            section[int(last)] = value
        else:
            section[last] = value
    return raw


def told(edits):
    with pytest.raises(ConfigError) as refused:
        load(changed(edits))
    return refused.value.lines


def row(**fields):
    return {"train": "sft", "parent": "base", "mixture": "mix", **fields}


def dataset(**fields):
    return {"dataset": "lab/data", "revision": "a" * 40, "format": "aya_redteaming", **fields}


NLLB = {"model": "facebook/nllb-200-3.3B", "revision": "a" * 40}


def synthesis(**fields):
    named = {"synthesise": "redteam", "rephraser": "writer", "completers": ["writer"], "judge": "gpt", "variants": 2}
    return {**named, "splits": ["test"], **fields}


LLMS = {"llms/writer": {"model": "openai/gpt-4o"}, "judges/gpt": {"model": "openai/gpt-4o"}}

# edits -> beginnings of the lines that must be told, and no others
MISTAKES = {
    "unknown key at the top": ({"colour": 1}, ["colour: unknown key"]),
    "unknown key in an entry": ({"training/sft/lr": 1}, ["training.sft.lr: unknown key"]),
    "unknown key in a source": ({"sources/general/sed": 1}, ["sources.general.sed: unknown key"]),
    "unknown key in a model": ({"models/mix/mixtures": "mix"}, ["models.mix.mixtures: unknown key"]),
    "unknown key in overrides": ({"models/mix/with": {"epoch": 2}}, ["models.mix.with.epoch: unknown key"]),
    "unknown key in a merge's overrides": (
        {"models/slerp/with": {"weights": 1}},
        ["models.slerp.with.weights: unknown key"],
    ),
    "overrides of a model without settings": ({"models/init/with": {"seed": 2}}, ["models.init.with: only train"]),
    "missing section": ({"baseline": REMOVED}, ["baseline: is missing; add it"]),
    "missing key": ({"training/sft/batch_size": REMOVED}, ["training.sft.batch_size: is missing; add it"]),
    "a section that is no table": ({"mixtures": 3}, ["mixtures: input should be a valid dictionary, not 3"]),
    "an entry that is no table": ({"sources/general": 3}, ["sources.general: "]),
    "wrong type": ({"training/sft/epochs": "many"}, ["training.sft.epochs: input should be a valid number"]),
    "a number that is none": ({"training/sft/epochs": float("nan")}, ["training.sft.epochs: "]),
    "out of range": ({"training/sft/epochs": 0}, ["training.sft.epochs: input should be greater than 0, not 0"]),
    "a date for a name": ({"experiment": datetime.date(2024, 1, 1)}, []),
    "bad name of an entry": ({"suites/a b": CHECKED["suites"]["redteam"]}, ["suites.a b: names are of letters"]),
    "the same seed twice": ({"seeds": [0, 0]}, ["seeds: has 0 twice"]),
    "the same language twice": ({"languages": ["en", "fr", "en"]}, ["languages: has en twice"]),
    "no languages": ({"mixtures/mix/languages": []}, ["mixtures.mix.languages: list should have at least 1 item"]),
    "unknown optimizer": ({"training/sft/optimizer": "adam"}, ["training.sft.optimizer: input should be 'adamw_torch'"]),
    "unknown scheduler": ({"training/sft/scheduler": "cosin"}, ["training.sft.scheduler: input should be 'linear'"]),
    "unknown loss": ({"training/dpo/loss_type": "ippo"}, ["training.dpo.loss_type: input should be 'sigmoid'"]),
    "unknown key of LoRA": ({"training/sft/lora": {"r": 8, "alpha": 8, "rank": 1}}, ["training.sft.lora.rank: unknown"]),
    "LoRA modules": ({"training/sft/lora": {"r": 8, "alpha": 8, "targets": 3}}, ["training.sft.lora.targets: "]),
    "batches that do not split": ({"training/sft/accumulation": 3}, ["training.sft: batch_size 32 is not a multiple"]),
    "no room for a prompt": ({"generation/max_new_tokens": 128}, ["generation: max_new_tokens 128 fill"]),
    "heads that do not fit": ({"architectures/nano/num_attention_heads": 5}, ["architectures.nano: hidden_size 32 is"]),
    "unknown field of an architecture": ({"architectures/nano/layers": 5}, ["architectures.nano.layers: unknown key"]),
    "unknown method": ({"merging/slerp/method": "slurp"}, ["merging.slerp: no 'method' 'slurp'; choose from"]),
    "no method": ({"merging/slerp/method": REMOVED}, ["merging.slerp: 'method' is missing"]),
    "half a gradient": ({"merging/ties/density": {"layers": [0.1]}}, ["merging.ties.density.embeddings: is", "merging.ties.density.final_norm: is"]),
    "a gradient with more": (
        {"merging/ties/density": {"layers": [0.1], "embeddings": 1, "final_norm": 1, "head": 1}},
        ["merging.ties.density.head: unknown key"],
    ),
    "no such source": ({"mixtures/mix/parts": {"general": 0.5, "safty": 0.5}}, ["mixtures.mix.parts: no source 'safty'; did you mean safety?"]),
    "fractions": ({"mixtures/mix/parts/safety": 0.2}, ["mixtures.mix.parts: fractions sum to 0.95; make them sum to 1"]),
    "no parts": ({"mixtures/mix/parts": {}}, ["mixtures.mix.parts: fractions sum to 0"]),
    "no such language": ({"mixtures/mix/languages": ["de"]}, ["mixtures.mix.languages: no language 'de'"]),
    "a language of no world": (
        {"languages": ["en", "xx"]},
        [f"sources.{name}: the world has no 'xx'" for name in CHECKED["sources"]],
    ),
    "a language that the source lacks": (
        {"sources/safety/languages": ["en"]},
        ["mixtures.safety: source 'safety' has no rows in fr", "mixtures.mix: source 'safety' has no rows in fr"],
    ),
    "too many rows": ({"mixtures/mix/per_language": 140}, ["mixtures.mix: needs 105 train rows per language of source 'general', which has 100"]),
    "too many prompts": ({"suites/redteam/per_language": 11}, ["suites.redteam: needs 11 test rows per language"]),
    "a suite of no rows": ({"suites/general/split": "validation"}, ["suites.general: needs 1 validation rows"]),
    "no suites": ({"suites": {}}, ["suites: is empty; add one", "tables.table1.metrics: ", "tables.table1.metrics: ", "tables.contrasts.metrics: ", "tables.contrasts.metrics: ", "figures.figure2.metrics: ", "figures.figure2.metrics: "]),
    "no judges": ({"judges": {}}, ["judges: is empty; add one"]),
    "no models": ({"models": {}}, None),
    "a dataset of the hub without a revision": ({"sources/new": dataset(revision=None)}, ["sources.new.revision: no folder 'lab/data', and a hub id needs a commit"]),
    "a format that is not known": ({"sources/new": dataset(format="aya_redteming")}, ["sources.new.format: no format 'aya_redteming'; did you mean aya_redteaming?"]),
    "shares above one": ({"sources/new": dataset(splits={"train": 0.9, "test": 0.2})}, ["sources.new.splits: shares sum to 1.1; make them sum to 1 or less"]),
    "a language that a dataset lacks": (
        {"sources/new": dataset(format="ultrafeedback_binarized", languages=["en", "fr"])},
        ["sources.new.languages: ultrafeedback_binarized has no 'fr', only en"],
    ),
    "a suite in a language that a dataset lacks": (
        {"sources/new": dataset(format="ultrafeedback_binarized"), "suites/new": {"source": "new", "metric": "preference"}},
        ["suites.new: source 'new' has no rows in fr"],
    ),
    "a translation of nothing": (
        {"sources/new": {"translate": "nothing", "translator": "nllb", "languages": ["fr"]}, "translators/nllb": NLLB},
        ["sources.new.translate: no source 'nothing'"],
    ),
    "a translation by nobody": (
        {"sources/new": {"translate": "general", "translator": "nobody", "languages": ["fr"]}},
        ["sources.new.translator: no translator 'nobody'"],
    ),
    "translations of one another": (
        {
            "sources/one": {"translate": "other", "translator": "nllb", "languages": ["fr"]},
            "sources/other": {"translate": "one", "translator": "nllb", "languages": ["fr"]},
            "translators/nllb": NLLB,
            "suites/new": {"source": "one", "metric": "harm"},
        },
        [
            "sources.one.translate: 'one' is made from itself (one <- other <- one); break the cycle",
            "sources.other.translate: 'other' is made from itself (other <- one <- other); break the cycle",
        ],
    ),
    "a language without a code": (
        {
            "languages": ["en", "fr", "xx"],
            "sources/new": {"translate": "mine", "translator": "nllb", "languages": ["xx"]},
            "sources/mine": dataset(languages=["en"]),
            **{f"sources/{name}/languages": ["en", "fr"] for name in CHECKED["sources"]},
            **{f"mixtures/{name}/languages": ["en", "fr"] for name in CHECKED["mixtures"]},
            **{f"suites/{name}/languages": ["en", "fr"] for name in CHECKED["suites"]},
            "translators/nllb": NLLB,
        },
        ["translators.nllb.codes: the code of 'xx' is not known; add it here"],
    ),
    "a translator of the hub without a revision": (
        {"translators/nllb": {"model": "facebook/nllb-200-3.3B"}},
        ["translators.nllb.revision: no folder 'facebook/nllb-200-3.3B', and a hub id needs a commit"],
    ),
    "a translator that no language model is": (
        {"translators/gpt": {"llm": "gpt", "prompt": "no-such"}},
        ["translators.gpt.llm: no LLM 'gpt'", "translators.gpt.prompt: no file llm/prompt_files/no-such.txt"],
    ),
    "an unknown key of a translator": ({"translators/nllb": {**NLLB, "beam": 2}}, ["translators.nllb.beam: unknown key"]),
    "a file that is not there": ({"sources/mine": {"file": "no/such.jsonl"}}, ["sources.mine.file: no file 'no/such.jsonl'; give its path"]),
    "no such judge prompt": ({"judges/rules/harm": "harm-v9"}, ["judges.rules.harm: no file llm/prompt_files/harm-v9.txt"]),
    "faults of another judge": (
        {"judges/gpt": {"model": "openai/gpt", "faults": {"unreadable": 0.1}}},
        ["judges.gpt.faults: only mixmerge/rules can be given faults; remove them"],
    ),
    "faults in a language of no prompt": (
        {"judges/rules/faults": {"sensitivity": {"frr": 0.5}}},
        ["judges.rules.faults: no language 'frr'; did you mean fr?"],
    ),
    "a judge of no such model": ({"judges/rules/models": ["mixx"]}, ["judges.rules.models: no model 'mixx'; did you mean mix?"]),
    "a judge of a model without answers": ({"judges/rules/models": ["init"]}, ["judges.rules.models: "]),
    "a direct comparison of no contrast": (
        {"tables/table1/metrics": ["direct"]},
        ["tables.table1.metrics: 'direct' compares the two sides of a contrast; make it a table of contrasts"],
    ),
    "a column without its suite": ({"tables/table1/metrics": ["overrefused"]}, ["tables.table1.metrics: "]),
    "a table of no such suite": ({"tables/table1/suites": ["general", "redteem"]}, ["tables.table1.suites: no suite 'redteem'; did you mean redteam?", "tables.table1.metrics: 'harm' needs"]),
    "a figure whose suites lack a metric": ({"figures/figure2/suites": ["redteam"]}, ["figures.figure2.metrics: 'win' needs a suite of metric preference; add one"]),
    "corrected rates of no model": ({"tables/table1": {"kind": "corrected", "caption": "Corrected"}}, ["tables.table1.rows: "]),
    "verdicts of no contrast": (
        {"contrasts": {}, "tables": {"verdicts": {"kind": "verdicts", "caption": "Verdicts"}}},
        ["contrasts: is empty, but tables.verdicts prints them"],
    ),
    "a synthesis of nothing": (
        {"sources/made": synthesis(synthesise="sedes", rephraser="riter", completers=["x"], judge="no", prompt="p-v1")},
        [f"sources.made.{key}: no " for key in ("rephraser", "completers", "judge", "prompt", "synthesise")],
    ),
    "a synthesis of itself": (
        {"sources/made": synthesis(synthesise="again"), "sources/again": synthesis(synthesise="made"), **LLMS},
        ["sources.made.synthesise: 'made' is made from itself", "sources.again.synthesise: 'again' is made from"],
    ),
    "a synthesis judged by the miniature's judge": (
        {"sources/made": synthesis(judge="rules"), **LLMS},
        ["sources.made.judge: 'rules' knows the miniature's own prompts alone; name an LLM that judges"],
    ),
    "unknown key of a synthesis": ({"sources/made": synthesis(rephraze=1), **LLMS}, ["sources.made.rephraze: unknown"]),
    "a synthesis": ({"sources/made": synthesis(), **LLMS}, []),
    "unknown key of an LLM": ({"llms/writer": {"model": "m", "harm": "x"}}, ["llms.writer.harm: unknown key"]),
    "batches of a provider without them": (
        {"judges/gpt": {"model": "cohere/command-a-03-2025", "batch": True}},
        ["judges.gpt.batch: only openai, azure, hosted_vllm, litellm_proxy take batches"],
    ),
    "batches of OpenAI": ({"judges/gpt": {"model": "gpt-4o", "batch": True}}, []),
    "no kind": ({"models/new": {"parent": "base"}}, ["models.new: needs exactly one of load, init, train, merge; has none"]),
    "two kinds": ({"models/new": row(merge="slerp")}, ["models.new: needs exactly one of load, init, train, merge; has train, merge"]),
    "a model that is no table": ({"models/new": "sft"}, ["models.new: input should be"]),
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
        ["models.ties: merge by ties: `density` must be above 0 and at most 1, not 0.0"],
    ),
    "t out of range": ({"models/slerp/with": {"t": 1.5}}, ["models.slerp: merge by slerp: `t` must be from 0"]),
    "weights that cancel out": (
        {"merging/linear": {"method": "linear", "weights": [1, -1]}, "models/linear": {"merge": "linear", "parents": ["mix", "general"]}},
        ["models.linear: merge by linear: `weights` sum to 0"],
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
    "a placeholder without a grid": ({"models/new-{x}": row()}, ["models.new-{x}: '{x}' is not in its `for`; add it there"]),
    "an odd placeholder": ({"models/new": row(mixture="{0.a!r}")}, ["models.new: '{0.a!r}' is not in its `for`"]),
    "a brace": ({"models/new{": row()}, ["models.new{: makes 'new{'; names are"]),
    "a grid of nothing": ({"models/new-{x}": row(**{"for": {"x": []}})}, ["models.new-{x}.for.x: list should have at least 1"]),
    "a grid that is none": ({"models/new-{x}": row(**{"for": 3})}, ["models.new-{x}.for: "]),
    "a grid point of another type": ({"models/new-{x}": row(per_language="{x}", **{"for": {"x": ["many"]}})}, ["models.new-many.per_language: input should be a valid integer"]),
    "names made twice": ({"models/new-{x}": row(**{"for": {"x": [1, 1]}})}, ["models.new-{x}: makes 'new-1' again"]),
    "names made by two rows": ({"models/m{x}": row(**{"for": {"x": ["ix"]}})}, ["models.m{x}: makes 'mix' again"]),
    "a name that is a path": ({"models/m{x}": row(**{"for": {"x": ["/../a"]}})}, ["models.m{x}: makes 'm/../a'; names"]),
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
    "no such model in a table": ({"tables/table1/rows/Mix": "mx"}, ["tables.table1.rows.Mix: no model 'mx'"]),
    "a model in a table that does not answer": ({"tables/table1/rows/Init": "init"}, ["tables.table1.rows.Init: 'init' answers no suite"]),
    "a table without rows": ({"tables/table1/rows": {}, "tables/table1/reference": REMOVED}, ["tables.table1.rows: is empty"]),
    "a figure without rows": ({"figures/learning/rows": {}}, ["figures.learning.rows: dictionary should have at least 1 item"]),
    "no such reference": ({"tables/table1/reference": "Mx"}, ["tables.table1.reference: no row 'Mx'; did you mean Mix?"]),
    "no such metric": ({"tables/table1/metrics": ["harms"]}, ["tables.table1.metrics: no metric 'harms'; did you mean harm?"]),
    "a metric without a suite": ({"suites/general/metric": "harm"}, ["tables.table1.metrics: 'win' needs a suite of metric preference", "tables.contrasts.metrics: 'win'", "figures.figure2.metrics: 'win'"]),
    "no such judge": ({"figures/figure2/judge": "gpt"}, ["figures.figure2.judge: no judge 'gpt'"]),
    "no such language in an item": ({"tables/table1/languages": ["hi"]}, ["tables.table1.languages: no language 'hi'"]),
    "no such contrast": ({"tables/contrasts/contrasts": ["slurp"]}, ["tables.contrasts.contrasts: no contrast 'slurp'; did you mean slerp?"]),
    "no contrasts": ({"contrasts": {}}, ["contrasts: is empty, but tables.contrasts prints them"]),
    "a colour for nothing": ({"figures/figure2/colors": {"Mx": "red"}}, ["figures.figure2.colors: no row or group 'Mx'"]),
    "a sweep without positions": ({"figures/figure2/kind": "sweep"}, ["figures.figure2.x: no position for row 'SLERP'"]),
    "a curve of a merge": ({"figures/learning/rows/SLERP": "slerp"}, ["figures.learning.rows.SLERP: 'slerp' is not trained"]),
    "no such side": ({"contrasts/slerp/mix": "mx"}, ["contrasts.slerp.mix: no model 'mx'"]),
    "an untrue contrast": (
        {"contrasts/slerp/matched": "rows"},
        ["contrasts.slerp.matched: not matched on rows (mix has 128 rows and 128 examples, slerp has 256 and 256)"],
    ),
    "published values of nothing": ({"reproduces": "0000.00000"}, ["reproduces: "]),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_told_in_one_line_and_nothing_else_is(name):
    edits, wanted = MISTAKES[name]
    if wanted == []:
        load(changed(edits))
        return
    lines = told(edits)
    for line in lines:
        assert line.count("\n") == 0 and ": " in line
    if wanted is not None:
        assert len(lines) == len(wanted), lines
        for line, beginning in zip(lines, wanted, strict=True):
            assert line.startswith(beginning), lines


def test_many_mistakes_are_told_at_once_and_set_nobody_else_in_the_wrong():
    lines = told(
        {
            "colour": 1,  # unknown key
            "seeds": [],  # too few
            "languages": ["en", 3],  # wrong type: nothing is said of languages
            "sources/general/seed": "x",  # wrong type: mixtures and suites of it are not blamed
            "mixtures/mix/parts/safety": 0.5,  # do not sum to one
            "judges/rules/concurrency": 0,  # the only judge: `judges` is not called empty
            "generation/max_new_tokens": 0,  # a section without entries
            "training/sft/batch_size": "many",  # models that name it are not blamed
            "merging/slerp/t": "half",
            "models/safety/parent": 3,  # its child is not blamed
            "models/dpo-{x}": {"train": "dpo", "parent": "mix", "mixture": "{y}", "for": {"x": [1, 2]}},
            "models/late": {"train": "dpo", "parent": "dpo-1", "mixture": "mix"},  # of a broken grid
            "models/all": {"merge": "ties", "parents": ["dpo-*"]},  # so is its pattern
            "figures/figure2/rows/Mix": "mx",
            "baseline": 3,
        }
    )
    beginnings = [
        "seeds: ",
        "languages.1: ",
        "sources.general.seed: ",
        "training.sft.batch_size: ",
        "merging.slerp.t: ",
        "baseline: ",
        "generation.max_new_tokens: ",
        "judges.rules.concurrency: ",
        "colour: ",
        "models.safety.parent: ",
        "models.dpo-{x}: '{y}' is not in its `for`",
        "mixtures.mix.parts: ",
        "figures.figure2.rows.Mix: ",
    ]
    assert len(lines) == len(beginnings), "\n".join(lines)
    for beginning in beginnings:
        assert sum(line.startswith(beginning) for line in lines) == 1, (beginning, lines)


def test_merges_of_loaded_models_are_compared_before_anything_runs(tmp_path):
    for name, layers in (("one", 2), ("two", 3)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps({"model_type": "llama", "num_hidden_layers": layers}))
    (tmp_path / "none").mkdir()
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "config.json").write_text("{")
    models = {f"models/{name}": {"load": str(tmp_path / name)} for name in ("one", "two", "none", "odd")}
    lines = told({**models, "models/slerp/parents": ["one", "two"]})
    assert len(lines) == 3
    assert lines[0].startswith("models.none.load: ") and "config.json: no such file" in lines[0]
    assert lines[1].startswith("models.odd.load: ") and "not readable as JSON" in lines[1]
    assert "of different architectures (one, two: num_hidden_layers is 3, not 2)" in lines[2]


def test_a_hub_model_with_a_revision_is_accepted_unread():
    assert "hub" in load(changed({"models/hub": {"load": "org/model", "revision": "0" * 40}})).models


# What a right experiment means


def test_grids_give_all_combinations_and_keep_types():
    grid = {"x": ["a", "b"], "n": [1, 2]}
    models = load(
        changed({"models/new-{x}-{n}": row(per_language="{n}", **{"with": {"epochs": "{n}"}, "for": grid})})
    ).models
    names = [name for name in models if name.startswith("new-")]
    assert names == ["new-a-1", "new-a-2", "new-b-1", "new-b-2"]
    assert models["new-b-2"].row.per_language == 2 and models["new-b-2"].settings.epochs == 2.0


def test_a_list_of_rows_gives_those_and_no_others():
    models = load(changed({"models/new-{x}": row(parts=["{p}"], **{"for": [{"x": 1, "p": "safety"}]})})).models
    assert models["new-1"].row.parts == ["safety"]


def test_patterns_are_all_other_models_that_match_in_the_order_of_the_table():
    edits = {
        "models/mono-{l}": row(languages=["{l}"], **{"for": {"l": ["fr", "en"]}}),
        "models/mono-all": {"merge": "ties", "parents": ["mono-*"]},
        "models/mono-two": {"merge": "ties", "parents": ["mono-??"]},
    }
    models = load(changed(edits)).models
    assert models["mono-two"].parents == ("mono-fr", "mono-en")
    assert models["mono-all"].parents == ("mono-fr", "mono-en", "mono-two")


def test_overrides_change_one_model_and_not_the_named_settings():
    found = load(changed({"models/mix/with": {"epochs": 2, "lora": {"r": 4, "alpha": 8}}}))
    assert found.models["mix"].settings.epochs == 2 and found.models["mix"].settings.lora.r == 4
    assert found.models["general"].settings.epochs == 1 and found.config.training["sft"].lora is None


def test_a_merge_states_every_parameter_once_per_parent_and_a_seed_per_chain():
    edits = {
        "merging/dare": {"method": "dare_ties", "base": "base", "weights": 1, "density": [0.5, 0.2], "seed": 3},
        "models/dare": {"merge": "dare", "parents": ["mix", "general"]},
    }
    recipe = load(changed(edits)).models["dare"].merge_recipe(seed=2)
    assert recipe == {
        "method": "dare_ties", "weights": [1.0, 1.0], "densities": [0.5, 0.2], "seed": 2003, "normalize": False,
        "rescale": True, "lambda": 1.0, "int8_mask": False, "dtype": "bfloat16",
    }  # fmt: skip


def test_ancestry_is_walked_once_however_often_models_share_their_ancestors():
    edits = {f"models/m{i}": {"merge": "slerp", "parents": [f"m{i - 1}", f"m{i - 1}"]} for i in range(1, 60)}
    experiment = load(changed({"models/m0": row(), **edits}))
    assert len(experiment.ancestry("m59")) == 62


def test_contrasts_are_matched_by_what_both_sides_learned_after_the_baseline():
    edits = {
        "models/mono-{l}": row(languages=["{l}"], **{"for": {"l": ["fr", "en"]}}),
        "models/mono": {"merge": "ties", "parents": ["mono-*"]},
        "models/twice": row(**{"with": {"epochs": 2}}),
        "contrasts/mono": {"mix": "mix", "merge": "mono", "matched": "rows"},
        "contrasts/compute": {"mix": "twice", "merge": "slerp", "matched": "examples"},
    }
    experiment = load(changed(edits))
    assert experiment.learned("mono").rows == experiment.learned("mix").rows == 128
    assert experiment.learned("twice").examples == experiment.learned("slerp").examples == 256
    assert experiment.learned("base").rows == 0


def test_only_merges_that_are_nobodys_parent_may_be_temporary():
    edits = {"keep_merges": False, "models/after": row(parent="slerp"), "models/last": {"merge": "slerp", "parents": ["mix", "after"]}}  # fmt: skip
    experiment = load(changed(edits))
    assert [name for name in experiment.models if experiment.temporary(name)] == ["last"]
    assert not any(map(load(CHECKED).temporary, experiment.models.keys() & load(CHECKED).models.keys()))


# Any file at all


def _places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else []
    for key, item in items:
        yield from _places(item, (*path, key))


PLACES = [path for path in _places(CHECKED) if path]
JUNK = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 200), st.floats(), st.text(max_size=5),
    st.sampled_from(["{x}", "{", "}", "{}", "{0}", "*", "mix", "base", "slerp", "ties", "general", "\n", "a/b", "en"]),
    st.sampled_from([[], {}, [1], ["en"], ["*"], {"x": 1}, {"": ""}, [[]], {"for": {"x": [1]}}, {"x": {"y": "z"}}]),
)  # fmt: skip


def _check_outcome(raw):
    try:
        assert isinstance(load(raw), Experiment)
    except ConfigError as refused:
        assert refused.lines
        for line in refused.lines:
            key, _, what = line.partition(": ")
            assert key and what and line == line.strip() and "\n" not in line


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(st.sampled_from(PLACES), st.one_of(st.just(REMOVED), JUNK)), min_size=1, max_size=4))
def test_any_edit_gives_an_experiment_or_readable_lines(edits):
    raw = copy.deepcopy(CHECKED)
    for path, value in edits:
        section = raw
        try:
            for key in path[:-1]:
                section = section[key]
            if value is REMOVED:
                del section[path[-1]]
            else:
                section[path[-1]] = copy.deepcopy(value)
        except (KeyError, IndexError, TypeError):
            continue  # an earlier edit took the place away
    _check_outcome(raw)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(PLACES), st.text(max_size=4) | st.sampled_from(["for", "with", "load", "file", "[key]"]), JUNK)
def test_any_added_key_gives_an_experiment_or_readable_lines(path, key, value):
    raw = copy.deepcopy(CHECKED)
    section = raw
    for part in path:
        section = section[part]
    if isinstance(section, dict):
        section[key] = copy.deepcopy(value)
    _check_outcome(raw)


@pytest.mark.parametrize("raw", [None, [], "text", 3, {}])
def test_a_file_that_is_no_experiment_is_told_so(raw):
    with pytest.raises(ConfigError):
        load(raw)


def test_the_experiments_of_the_repository_are_right():
    for path in (ROOT / "config.yaml", ROOT / "tests/configs/nano.yaml"):
        found = load(yaml.safe_load(path.read_text(encoding="utf-8")))
        assert any(isinstance(model.row, Train) for model in found.models.values())
