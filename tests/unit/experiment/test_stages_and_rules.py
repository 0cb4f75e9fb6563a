"""Every stage of the list of artifacts has its rule, and every rule its stage: neither is left out unseen."""

import re
from pathlib import Path

import pytest

from workflow_scripts.experiment.stages import STAGES
from workflow_scripts.experiment.stages._base import Stage

ROOT = Path(__file__).parents[3]
RULE = re.compile(r"^rule (\w+):\n((?:(?:    .*)?\n)+)", re.M)
GATHERING = {"all", "tables", "figures"}  # rules of the Snakefile that make nothing themselves
READINGS = ("inputs_of", "outputs_of", "log_of", "only", "params_of")


def rules(*texts):
    """The bodies of rules by name."""
    return {name: body for text in texts for name, body in RULE.findall(f"{text}\n")}


def complaints(stages, found):
    """What is missing or does not fit together, in words."""
    lines = [f"stage {name} has no rule" for name in stages.keys() - found.keys()]
    lines += [f"rule {name} is no stage" for name in found.keys() - stages.keys()]
    for name in stages.keys() & found.keys():
        body = found[name]
        lines += [f"rule {name}: no {use}" for use in READINGS if f'{use}("{name}")' not in body]
        others = set(re.findall(r'(?:\w+_of|only|needs|takes_turns)\("(\w+)"\)', body)) - {name}
        lines += [f"rule {name} reads what {other} has" for other in others]
        if f'"python -m workflow_scripts {stages[name].command} {{params.job}} > {{log}} 2>&1"' not in body:
            lines.append(f"rule {name} does not run {stages[name].command}")
        if ("**needs(" in body) == ("localrule: True" in body):
            lines.append(f"rule {name} is to be local or to ask for what it needs")
    return sorted(lines)


TEXTS = [path.read_text(encoding="utf-8") for path in sorted((ROOT / "rules").glob("*.smk"))]
SNAKEFILE = (ROOT / "Snakefile").read_text(encoding="utf-8")


def test_every_stage_has_its_rule_and_every_rule_its_stage():
    assert complaints(STAGES, rules(*TEXTS)) == []
    assert rules(SNAKEFILE).keys() == GATHERING


def test_every_file_of_rules_is_included():
    included = re.findall(r'^include: "rules/(\w+)\.smk"', SNAKEFILE, re.M)
    assert sorted(included) == sorted(path.stem for path in (ROOT / "rules").glob("*.smk"))


TOY = Stage("toy", "{mixture}", lambda _: {"a": "b"}, lambda _: iter(()), "paper.toy:count", "toy")


@pytest.mark.parametrize(
    ("stages", "texts", "said"),
    [
        ({**STAGES, "toy": TOY}, TEXTS, "stage toy has no rule"),
        ({name: stage for name, stage in STAGES.items() if name != "mixture"}, TEXTS, "rule mixture is no stage"),
        (STAGES, [text.replace('inputs_of("suite")', 'inputs_of("mixture")') for text in TEXTS],
         "rule suite reads what mixture has"),
        (STAGES, [text.replace("workflow_scripts suite", "workflow_scripts mixture") for text in TEXTS],
         "rule suite does not run suite"),
        (STAGES, [text.replace('**needs("train"),', "") for text in TEXTS],
         "rule train is to be local or to ask for what it needs"),
    ],
)  # fmt: skip
def test_a_stage_or_a_rule_that_is_left_out_or_mixed_up_is_seen(stages, texts, said):
    assert said in complaints(stages, rules(*texts))
