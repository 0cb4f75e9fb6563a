"""The real vLLM, on CPU: it answers as transformers does, and exchanges weights in place as if it had started afresh.

Run by `make test-vllm`, in its own environment.  An engine takes most of a minute to start, so tests share a server's.
"""

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import is_alive, wait_for
from tests.unit.generate.test_engine_server import servers
from tests.unit.generate.test_engine_transformers import PROMPTS, RECIPE, make
from workflow_scripts.base import hashing
from workflow_scripts.base.errors import UserError
from workflow_scripts.generate import engine_server
from workflow_scripts.generate.engine import start
from workflow_scripts.generate.engines._base import Completion, shared_files
from workflow_scripts.process import sockets

VLLM = {**RECIPE, "engine": "vllm"}
HIDDEN = 128  # heads of 32, the least that vLLM's attention on CPU knows


@pytest.fixture(scope="module", autouse=True)
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A server of these tests alone, and a small cache."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("s")
    patch.setattr(sockets.tempfile, "tempdir", str(folder))
    for name, value in {"TMPDIR": folder, "VLLM_CPU_KVCACHE_SPACE": 1, "MIXMERGE_WARM": 1}.items():
        patch.setenv(name, str(value))
    yield
    engine_server.dismiss()
    patch.undo()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Random models with Aya 23's flags: no query and key norms, tied embeddings, grouped queries."""
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, seed, HIDDEN) for seed, name in enumerate(("one", "two"))}


def served(model: Path, **changes: Any) -> list[Completion]:
    weights = {file.name: hashing.of_file(file) for file in model.glob("*.safetensors")}
    engine = engine_server.start({**VLLM, **changes}, model, weights)
    assert engine, "no server could be started; its log lies in the folder of its socket"
    return list(engine.generate(PROMPTS))


def by_transformers(model: Path) -> list[Completion]:
    return list(start(RECIPE, model).generate(PROMPTS))


def test_greedy_answers_are_those_of_the_transformers_engine_before_and_after_an_exchange(
    models: dict[str, Path],
) -> None:
    first, second = served(models["one"]), served(models["two"])
    assert first == by_transformers(models["one"])
    assert second == by_transformers(models["two"]) != first
    assert served(models["one"]) == first, "and back again"


def test_a_fresh_engine_gives_what_the_exchanged_one_gave_greedily_and_sampled(models: dict[str, Path]) -> None:
    hot = {"temperature": 1.0, "top_p": 0.9}
    served(models["one"], **hot)
    exchanged = served(models["two"], **hot)
    engine_server.dismiss()
    fresh = start({**VLLM, **hot}, models["two"])
    assert list(fresh.generate(PROMPTS)) == exchanged != by_transformers(models["two"])
    assert list(fresh.generate(PROMPTS[::-1]))[::-1] == exchanged, "an answer depends on no other prompt"


def test_models_of_two_architectures_are_not_exchanged(models: dict[str, Path], tmp_path: Path) -> None:
    other = make(tmp_path / "other", 1, HIDDEN)
    config = other / "config.json"
    config.write_text(config.read_text().replace('"logit_scale": 1.0', '"logit_scale": 0.5'))
    engine: Any = engine_server.start(VLLM, models["one"], {})
    assert (shared_files(models["one"]).items() ^ shared_files(other).items()) and engine
    engine.model = other  # a job that asks the wrong server
    with pytest.raises(UserError, match=r"config\.json: differs"):
        next(engine.generate(PROMPTS))


def test_nothing_of_an_engine_outlives_a_killed_server(models: dict[str, Path]) -> None:
    served(models["one"])
    (server,) = servers()
    assert session(server) == [server], "the engine is in the server's own process"
    os.kill(server, signal.SIGKILL)
    wait_for(lambda: not session(server))


def session(leader: int) -> list[int]:
    """Processes of a session that live; a server has one to itself."""
    found = [int(process.name) for process in Path("/proc").iterdir() if process.name.isdigit()]
    return [pid for pid in found if is_alive(pid) and os.getsid(pid) == leader]
