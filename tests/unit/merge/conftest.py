"""Models that the tests of merging share, made once; no test changes them."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from mergekit.merge_methods import registry

from tests.unit.merge import tiny
from tests.unit.merge.forked import Described
from workflow_scripts.base import beside
from workflow_scripts.merge import methods


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base like Aya and three models that were fine-tuned from it, with tokenizers."""
    return tiny.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def far(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same by name, of a few tensors that differ much: no threshold of a method decides what comes out."""
    return tiny.write_far_models(tmp_path_factory.mktemp("far"))


@pytest.fixture
def described(monkeypatch: pytest.MonkeyPatch) -> Iterator[Described]:
    """What counts the processes in which users' methods are described; what this one registers is forgotten again."""
    fork = Described()
    monkeypatch.setattr(methods, "subprocess", SimpleNamespace(run=fork))
    before = dict(registry._METHODS)
    yield fork
    registry._METHODS.clear()
    registry._METHODS.update(before)
    beside._run.cache_clear()
