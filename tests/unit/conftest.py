"""What unit tests of several rooms stand in."""

import pytest

from workflow_scripts.base import beside


@pytest.fixture(autouse=True)
def _beside_no_config(monkeypatch):
    """What a test lets lie beside its config is found by no other."""
    monkeypatch.setenv(beside.FOLDERS, "")


@pytest.fixture
def own_folder(tmp_path, monkeypatch):
    """An empty working directory; what a run in it holds of results/ is given back at the end."""
    from workflow_scripts.run import session

    monkeypatch.chdir(tmp_path)
    yield tmp_path
    while session._held:
        session._held.pop().close()
