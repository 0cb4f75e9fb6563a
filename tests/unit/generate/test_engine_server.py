"""An engine that stays up gives what a fresh one gives, holds what it says, and is in nobody's way."""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.processes import wait_for
from tests.unit.generate.test_engine_transformers import PROMPTS, RECIPE, make
from workflow_scripts.base import hashing, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.generate import engine, engine_server
from workflow_scripts.generate.engines._base import Completion
from workflow_scripts.process import sockets


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("models")
    return {name: make(folder / name, seed) for seed, name in enumerate(("one", "two"))}


@pytest.fixture(scope="module", autouse=True)
def own_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Servers of these tests are found by these tests alone, and leave with them."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("s")
    patch.setattr(sockets.tempfile, "tempdir", str(folder))
    patch.setenv("TMPDIR", str(folder))
    patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    yield
    engine_server.dismiss()
    patch.undo()


def weights(model: Path) -> dict[str, str]:
    return {file.name: hashing.of_file(file) for file in model.glob("*.safetensors")}


def ask(model: Path, prompts: list[str] = PROMPTS, **changes: Any) -> list[Completion]:
    remote = engine_server.start({**RECIPE, **changes}, model, weights(model))
    assert remote
    return list(remote.generate(prompts))


def fresh(model: Path) -> list[Completion]:
    return list(engine.start(RECIPE, model).generate(PROMPTS))


def servers() -> list[int]:
    """Process ids of the servers that these tests started and that live."""
    folder = sockets.private_folder()
    found = []
    for process in Path("/proc").iterdir():
        if process.name.isdigit():
            try:
                command = (process / "cmdline").read_bytes().decode().split("\0")
            except OSError:
                continue
            if "workflow_scripts.generate.engine_server" in command and str(folder) in str(command):
                found.append(int(process.name))
    return found


def test_one_server_serves_model_after_model_as_fresh_engines_would(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXMERGE_METER", str(tmp_path / "meter"))
    first = ask(models["one"])
    (server,) = servers()
    assert work_counter.totals(tmp_path / "meter") == {"completions": len(PROMPTS)}
    assert [ask(models["two"]), ask(models["one"]), ask(models["two"], PROMPTS[:3])] == [
        fresh(models["two"]),
        fresh(models["one"]),
        fresh(models["two"])[:3],
    ]
    assert first == fresh(models["one"]) != fresh(models["two"])
    assert servers() == [server]


def test_models_that_differ_in_what_config_says_of_their_data_type_share_a_server(
    models: dict[str, Path], tmp_path: Path
) -> None:
    ask(models["one"], PROMPTS[:1])
    before = servers()
    other = make(tmp_path / "other", seed=1)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "dtype": "bfloat16"}))
    assert ask(other) == fresh(models["two"])
    assert servers() == before


def test_weights_that_are_not_those_of_the_manifest_answer_nothing(models: dict[str, Path], tmp_path: Path) -> None:
    broken = make(tmp_path / "broken", seed=1)
    manifest = weights(broken)
    tensors = load_file(broken / "model.safetensors")
    tensors["model.norm.weight"] *= 2
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    remote = engine_server.start(RECIPE, broken, manifest)
    with pytest.raises(UserError, match="other weights"):
        next(remote.generate(PROMPTS))
    assert ask(models["one"]) == fresh(models["one"])


def test_a_truncated_model_is_told_and_the_server_goes_on(models: dict[str, Path], tmp_path: Path) -> None:
    ask(models["one"], PROMPTS[:1])
    before = servers()
    broken = make(tmp_path / "broken", seed=1)
    manifest = weights(broken)
    file = broken / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-4])
    remote = engine_server.start(RECIPE, broken, manifest)
    with pytest.raises(UserError, match=r"model\.safetensors"):
        next(remote.generate(PROMPTS))
    assert ask(models["one"]) == fresh(models["one"])
    assert servers() == before


JOB = """
import json, sys, time
from pathlib import Path
from workflow_scripts.generate import engine_server
recipe, weights, prompts = map(json.loads, sys.argv[2:5])
stream = engine_server.start(recipe, Path(sys.argv[1]), weights).generate(prompts)
next(stream)
print("begun", flush=True)
time.sleep(600)
"""


def test_a_killed_job_leaves_the_server_to_the_next(models: dict[str, Path]) -> None:
    ask(models["one"], PROMPTS[:1])
    before = servers()
    arguments = [str(models["one"]), *map(json.dumps, (RECIPE, weights(models["one"]), PROMPTS * 20))]
    job = subprocess.Popen([sys.executable, "-c", JOB, *arguments], stdout=subprocess.PIPE, cwd=os.getcwd())
    assert job.stdout and job.stdout.readline() == b"begun\n"
    job.kill()
    job.wait()
    assert ask(models["two"]) == fresh(models["two"])
    assert servers() == before


def test_a_server_that_is_killed_before_it_began_is_replaced(models: dict[str, Path]) -> None:
    remote: Any = engine_server.start(RECIPE, models["one"], weights(models["one"]))
    (server,) = servers()
    os.kill(server, signal.SIGKILL)
    assert list(remote.generate(PROMPTS)) == fresh(models["one"])
    wait_for(lambda: len(servers()) == 1 and servers() != [server])


def test_a_server_that_is_killed_while_it_answers_is_told_with_its_log(models: dict[str, Path]) -> None:
    remote: Any = engine_server.start(RECIPE, models["one"], weights(models["one"]))
    stream = remote.generate(PROMPTS * 200)
    next(stream)
    (server,) = servers()
    os.kill(server, signal.SIGKILL)
    with pytest.raises(UserError, match=r"ended while it answered; see .*\.log"):
        list(stream)


def test_other_settings_or_a_training_have_the_server_leave_first(models: dict[str, Path]) -> None:
    ask(models["one"], PROMPTS[:1])
    before = servers()
    ask(models["one"], PROMPTS[:1], max_new_tokens=4)
    assert len(servers()) == 1 and servers() != before
    engine_server.dismiss()
    assert not servers()


def test_a_server_on_other_devices_stays(models: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = sockets.private_folder()
    assert folder
    asked = []
    monkeypatch.setattr(sockets, "connect", lambda address: asked.append(address.name))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    names = [f"{engine_server.PREFIX}{'.'.join(engine_server._devices())}-abc"]
    for devices in ("1", "3", "0,1,2"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", devices)
        names.append(f"{engine_server.PREFIX}{'.'.join(engine_server._devices())}-abc")
    for name in names:
        (folder / name).touch()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,3")
    engine_server.dismiss()
    for name in names:
        (folder / name).unlink()
    assert sorted(name for name in asked if name.endswith("-abc")) == sorted([names[0], names[2], names[3]])


class Fake:
    """An engine whose exchange fails when it has begun."""

    def __init__(self, recipe: dict, model: Path) -> None: ...

    def exchange(self, model: Path) -> None:
        raise RuntimeError("half of the weights are in")

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        yield from ()


def test_an_exchange_that_fails_half_way_ends_the_server(
    models: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "start", Fake)
    ours, theirs = socket.socketpair()
    if not (child := os.fork()):
        server = engine_server._Server(RECIPE, models["one"])
        server.answer(models["two"], PROMPTS, theirs)
        os._exit(0)
    theirs.close()
    assert ours.recv(1) == b"", "not a word, above all not whose weights it holds"
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 1


def test_files_that_change_while_they_are_loaded_are_not_vouched_for(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = make(tmp_path / "model", seed=0)
    monkeypatch.setattr(engine, "start", lambda *_: (model / "model.safetensors").touch())
    with pytest.raises(RuntimeError, match="changed while"):
        engine_server._Server(RECIPE, model)


def test_an_idle_server_goes_and_takes_its_address_along(
    models: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_server, "IDLE_SECONDS", 0.0)
    engine_server.serve(tmp_path / "address", RECIPE, models["one"])
    assert not (tmp_path / "address").exists()


@pytest.mark.parametrize("name", ["MIXMERGE_WARM", "SLURM_JOB_ID"])
def test_it_can_be_turned_off_and_is_off_on_clusters(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for shared in ("MIXMERGE_WARM", *sockets.CLUSTER_VARIABLES):
        monkeypatch.delenv(shared, raising=False)
    assert engine_server.allowed("vllm") and not engine_server.allowed("transformers")
    monkeypatch.setenv(name, "0")
    assert not engine_server.allowed("vllm")
