# ruff: noqa: E501
"""Every mistake in the types of a file is said in one line that names the key and what to do, and blames no other."""

import datetime

import pytest

from tests.unit.experiment.checked import CHECKED, LLMS, REMOVED, check, lines_of, row, synthesis

# edits -> beginnings of the lines that must be said, and no others
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
    "unknown method": ({"merging/slerp/method": "slurp"}, ["merging.slerp.method: no method 'slurp'; did you mean slerp?"]),
    "no method": ({"merging/slerp/method": REMOVED}, ["merging.slerp.method: is missing"]),
    "half a gradient": ({"merging/ties/density": {"layers": [0.1]}}, ["merging.ties.density.embeddings: is", "merging.ties.density.final_norm: is"]),
    "a gradient with more": (
        {"merging/ties/density": {"layers": [0.1], "embeddings": 1, "final_norm": 1, "head": 1}},
        ["merging.ties.density.head: unknown key"],
    ),
    "unknown key of a synthesis": ({"sources/made": synthesis(rephraze=1), **LLMS}, ["sources.made.rephraze: unknown"]),
    "unknown key of an LLM": ({"llms/writer": {"model": "m", "harm": "x"}}, ["llms.writer.harm: unknown key"]),
    "booleans for numbers": (
        {"training/sft/epochs": True, "seeds": [False], "merging/slerp/t": True},
        ["seeds.0: input should be a number, not false; YAML reads no and off so", "training.sft.epochs: input should be a number, not true; YAML reads yes and on so", "merging.slerp.t: input should be a number, not true"],
    ),
    "a boolean for a language": ({"languages": ["en", False]}, ["languages.1: input should be a valid string, not false; YAML reads no and off so: put it in quotes if it is a name"]),
    "a boolean for a label": ({"tables/table1/rows": {False: "base"}}, ["tables.table1.rows: has a key that is false; YAML reads no and off so: put it in quotes if it is a name"]),
    "a boolean for a choice": ({"sources/mine": {"file": "config.yaml", "labels": {"a": True}}}, ["sources.mine.labels.a: input should be 'harmful' or 'harmless', not true; YAML reads yes and on so"]),
    "a boolean for a name": ({"models": {**CHECKED["models"], True: row()}}, ["models: has a key that is true; YAML reads yes and on so"]),
    "a boolean for a section": ({False: {}}, ["config: has a key that is false; YAML reads no and off so"]),
    "a number for a name": ({"suites": {**CHECKED["suites"], 15: CHECKED["suites"]["redteam"]}}, ["suites: has a key that is 15; put it in quotes if it is a name"]),
    "a date for a key": ({"suites": {**CHECKED["suites"], datetime.date(2024, 1, 1): {}}}, ['suites: has a key that is "2024-01-01"; put it in quotes if it is a name']),
    "a number for a model": ({"baseline": 15}, ["baseline: input should be a valid string, not 15; put it in quotes if it is a name"]),
    "a number for a label": ({"tables/table1/rows": {0: "base", 1.5: "mix"}, "tables/table1/reference": "1.5"}, []),
}  # fmt: skip


@pytest.mark.parametrize("name", MISTAKES)
def test_each_mistake_is_said_in_one_line_and_nothing_else_is(name):
    check(*MISTAKES[name])


def test_many_mistakes_are_told_at_once_and_set_nobody_else_in_the_wrong():
    lines = lines_of(
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
