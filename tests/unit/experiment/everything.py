"""An experiment with something of everything, edits of it, and the params of all that it has."""

import copy
from pathlib import Path

import yaml

from workflow_scripts.experiment.artifacts import artifacts
from workflow_scripts.experiment.table_of_models import load

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
LABELLED = {"source": "redteam", "metric": "labels"}
KINDS = dict.fromkeys(("source", "dataset", "translate", "synthesise"), "source")
KINDS |= dict.fromkeys(("load", "adapt", "initialise", "train", "merge", "merge_temporary"), "model")
KINDS |= {"generate": "answers", "judge": "scores", "compare": "scores", "calibrate": "labels"}


def edited(edits):
    """The experiment with values put at paths of keys."""
    raw = copy.deepcopy(CHECKED)
    for key, value in edits.items():
        *path, last = key.split("/")
        section = raw
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    return raw


def named(raw):
    """Every artifact of an experiment, by a short name: `model mix 0`, `scores rules slerp general vs mix`."""
    return {name(artifact): artifact for artifact in artifacts(load(raw)).all}


def name(artifact):
    shown = (key for key in artifact.wildcards if key not in ("experiment", "seed", "against"))
    words = [KINDS.get(artifact.stage.name, artifact.stage.name), *(artifact.wildcards[key] for key in shown)]
    words += [artifact.wildcards["seed"]] if words[0] == "model" else []
    return " ".join(words) + (f" vs {against}" if (against := artifact.wildcards.get("against")) else "")


def params(raw):
    """The params of every artifact, by its short name."""
    return {name: artifact.params for name, artifact in named(raw).items()}


BEFORE = named(CHECKED)
PARAMS = params(CHECKED)
