"""The types of the experiment file: strict, and described by a schema that does not drift."""

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[3]
SCHEMA = ROOT / "config.schema.json"


def test_the_schema_in_the_repository_is_that_of_the_types():
    command = [sys.executable, "-m", "workflow_scripts.config"]
    printed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    fix = "run: python -m workflow_scripts.config > config.schema.json"
    assert SCHEMA.read_text(encoding="utf-8") == printed, fix


def test_every_section_of_the_schema_refuses_unknown_keys_but_a_row_that_is_expanded_later():
    sections = {"Config": json.loads(SCHEMA.read_text(encoding="utf-8"))}
    sections |= sections["Config"]["$defs"]
    is_open = {name for name, section in sections.items() if section.get("additionalProperties", True) is not False}
    assert is_open == {"ModelRow", "MergingRow"}
