"""The experiment that tests of its checks edit, and what an edit of it must lead to."""

import copy
from pathlib import Path

import pytest
import yaml

from workflow_scripts.experiment.config_errors import ConfigError
from workflow_scripts.experiment.table_of_models import load

ROOT = Path(__file__).parents[3]
CHECKED = yaml.safe_load((ROOT / "tests/configs/checked.yaml").read_text(encoding="utf-8"))
REMOVED = object()


def changed(edits):
    """The experiment with values put at dotted keys, or removed."""
    raw = copy.deepcopy(CHECKED)
    for key, value in edits.items():
        *path, last = key.split("/") if isinstance(key, str) else [key]
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


def lines_of(edits):
    with pytest.raises(ConfigError) as refused:
        load(changed(edits))
    return refused.value.lines


def check(edits, wanted):
    """Edits give lines with these beginnings and no others; [] is none, None is any."""
    if wanted == []:
        load(changed(edits))
        return
    lines = lines_of(edits)
    for line in lines:
        assert line.count("\n") == 0 and ": " in line
    if wanted is not None:
        assert len(lines) == len(wanted), lines
        for line, beginning in zip(lines, wanted, strict=True):
            assert line.startswith(beginning), lines


def row(**fields):
    return {"train": "sft", "parent": "base", "mixture": "mix", **fields}


def synthesis(**fields):
    named = {"synthesise": "redteam", "rephraser": "writer", "completers": ["writer"], "judge": "gpt", "variants": 2}
    return {**named, "splits": ["test"], **fields}


LLMS = {"llms/writer": {"model": "openai/gpt-4o"}, "judges/gpt": {"model": "openai/gpt-4o"}}
