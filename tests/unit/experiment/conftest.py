"""What tests of experiments find beside their config: tests/configs."""

from pathlib import Path

import pytest

from workflow_scripts.base import beside

CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture(autouse=True)
def _beside_the_configs(monkeypatch):
    monkeypatch.setenv(beside.FOLDERS, "")
    beside.use([CONFIGS / "checked.yaml"])
