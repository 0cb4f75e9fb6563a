"""Models that the tests of merging share, made once; no test changes them."""

from pathlib import Path

import pytest

from tests.unit.merge import tiny


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A base like Aya and three models that were fine-tuned from it, with tokenizers."""
    return tiny.write_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="session")
def far(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same by name, of a few tensors that differ much: no threshold of a method decides what comes out."""
    return tiny.write_far_models(tmp_path_factory.mktemp("far"))
