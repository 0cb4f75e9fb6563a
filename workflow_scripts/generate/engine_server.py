"""An engine that stays up between the jobs of models of one architecture, and exchanges their weights in place.

vLLM takes most of a minute to start, and a fraction of a second to exchange all weights.  The first generate job starts
the server; later ones connect to it if it was started with the same settings, for the same architecture and tokenizer,
on the same devices; others have it leave first, since it holds their memory, and so does a training.  Jobs are served
one after another.  It goes when it has been idle.

What it gives is what a fresh engine gives: before it answers it sends the sha256 of every weight file that it
holds, which the job compares with the model's manifest.  A server whose exchange failed half-way ends at once.

It saves time and decides nothing: with MIXMERGE_WARM=0 everything works and gives the same answers.  It belongs to one
user and one machine, and is never used in a job of a cluster, whose devices are another's afterwards.
"""

import contextlib
import importlib
import io
import json
import os
import select
import socket
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from workflow_scripts.base import hashing, work_counter
from workflow_scripts.base.errors import UserError
from workflow_scripts.generate import engine
from workflow_scripts.generate.engines import ENGINES
from workflow_scripts.generate.engines._base import Completion, shared_files
from workflow_scripts.process import sockets

IDLE_SECONDS = 300.0
START_SECONDS = 1800.0  # an 8B model is read, compiled and captured
PREFIX = "engine-"  # of sockets, beside those of fork servers
ALL = "all"  # devices
READ_ON_START = ("VLLM_", "NCCL_")  # by engines, besides what libraries read on import

Files = dict[str, str]  # name -> sha256
State = tuple[int, ...]  # of a file; another one shows that it changed
Connect = Callable[[], socket.socket | None]


def allowed(name: str) -> bool:
    """Whether an engine may stay up between the jobs on this machine."""
    return (
        ENGINES[name].stays
        and os.environ.get("MIXMERGE_WARM", "1") != "0"
        and sys.platform == "linux"
        and not sockets.on_cluster()
    )


class Remote:
    """The engine of a server, as a job sees it: with one model, from the first prompt to the last."""

    def __init__(
        self, recipe: dict[str, Any], model: Path, weights: Files, connection: socket.socket, reconnect: Connect
    ) -> None:
        self.model, self.weights, self.connection, self.reconnect = model, weights, connection, reconnect
        self.log = f"{connection.getpeername()}.log"

    def generate(self, prompts: list[str]) -> Iterator[Completion]:
        """Answer prompts, in their order, with the weights that were asked for and no others.

        Raises:
            UserError: the server says so, holds other weights, or is gone.
        """
        held = self._order(prompts)
        if not held:  # it was dying when it was asked, and had not begun
            _wait_for_end(self.connection)
            self.connection.close()
            self.connection = self.reconnect() or self.connection
            held = self._order(prompts)
        with self.connection, self.connection.makefile("rb") as wire:
            if not held:
                raise UserError(f"{self.model}: the engine ended while it loaded it; see {self.log}, then run again")
            if held.get("weights") != self.weights:
                raise UserError(
                    held.get("error") or f"{self.model}: the engine holds other weights than its manifest says"
                )
            for _ in prompts:
                answer = _receive(wire)
                if "completion" not in answer:
                    raise UserError(
                        answer.get("error") or f"engine: ended while it answered; see {self.log}, then run again"
                    )
                work_counter.count("completions")
                yield Completion(*answer["completion"])

    def _order(self, prompts: list[str]) -> dict[str, Any]:
        """Say what is wanted, and hear what the engine holds; empty where it is gone."""
        try:
            _send(self.connection, {"model": str(self.model.resolve()), "prompts": prompts})
            line = b""
            while not line.endswith(b"\n") and (more := self.connection.recv(1)):  # no byte of what comes after
                line += more
        except OSError:
            return {}
        return dict(json.loads(line)) if line.endswith(b"\n") else {}


def start(recipe: dict[str, Any], model: Path, weights: Files) -> Remote | None:
    """A model's engine in a server: one that is there, or one that is started; None where none can be had.

    Args:
        recipe: as for `engine.start`; all of it must be that of the server.
        model: a model directory.
        weights: sha256 of its safetensors, by the manifest.
    """
    folder = sockets.private_folder()
    if folder is None:
        return None
    environment = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(READ_ON_START)]
    parts = [*sockets.read_on_start(), *environment, hashing.canonical(recipe), hashing.canonical(shared_files(model))]
    address = folder / f"{PREFIX}{'.'.join(_devices())}-{sockets.short_name(parts)}"

    def connect() -> socket.socket | None:
        if connection := sockets.connect(address):
            return connection
        dismiss()
        settings = json.dumps({"recipe": recipe, "model": str(model.resolve())})
        return sockets.start(address, "generate.engine_server", settings, seconds=START_SECONDS)

    connection = connect()
    return Remote(recipe, model, weights, connection, connect) if connection else None


def dismiss() -> None:
    """Have the servers on the devices that this process sees leave, and wait until their memory is free."""
    folder, ours = sockets.private_folder(), set(_devices())
    for address in sorted(folder.glob(f"{PREFIX}*")) if folder else []:
        theirs = set(address.name.removeprefix(PREFIX).split("-")[0].split("."))
        is_near = bool(ours & theirs or ALL in ours | theirs)
        if not is_near or address.suffix in (".lock", ".log") or not (connection := sockets.connect(address)):
            continue
        with connection:
            with contextlib.suppress(ConnectionError):
                _send(connection, {"leave": True})
            _wait_for_end(connection)


def _wait_for_end(connection: socket.socket) -> None:
    """Wait until the process at the other side, and so what it held of a device, is gone."""
    process, _, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    with contextlib.suppress(ProcessLookupError):
        handle = os.pidfd_open(process)
        select.select([handle], [], [])
        os.close(handle)


def _devices() -> list[str]:
    """The devices that are visible, as parts of a name."""
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return [sockets.short_name([device.strip()])[:4] for device in visible.split(",")] if visible else [ALL]


# The server


def serve(address: Path, recipe: dict[str, Any], model: Path) -> None:
    """Start an engine on a model, then answer jobs, one at a time, until idle or asked to leave."""
    os.environ.pop("MIXMERGE_METER", None)  # it is the jobs that count
    server = _Server(recipe, model)
    listener, selector = sockets.listen(address)
    try:
        last_busy = time.monotonic()
        while time.monotonic() - last_busy < IDLE_SECONDS:
            if not selector.select(1.0):
                continue
            connection, _ = listener.accept()
            with contextlib.suppress(OSError, ValueError), connection.makefile("rb") as wire:
                connection.settimeout(sockets.ORDER_SECONDS)  # a job that does not say what it wants is dropped
                order = _receive(wire)
                connection.settimeout(None)
                if "leave" in order:
                    break
                if "model" in order:
                    server.answer(Path(order["model"]), order["prompts"], connection)
            connection.close()
            last_busy = time.monotonic()
    finally:
        address.unlink(missing_ok=True)
    server.engine.close()


class _Server:
    """An engine, and what it holds."""

    def __init__(self, recipe: dict[str, Any], model: Path) -> None:
        before = _weights(model)
        self.engine = engine.start(recipe, model)
        self.held = _unchanged(before, model)

    def answer(self, model: Path, prompts: list[str], connection: socket.socket) -> None:
        try:
            self._hold(model)
            _send(connection, {"weights": _hashes(self.held)})
            for completion in self.engine.generate(prompts):
                _send(connection, {"completion": completion})
        except UserError as error:
            _send(connection, {"error": str(error)})

    def _hold(self, model: Path) -> None:
        """Have the engine hold a model's weights; on any failure half-way, end the process."""
        wanted = _weights(model)
        if _hashes(wanted) == _hashes(self.held):
            return
        try:
            self.engine.exchange(model)
            self.held = _unchanged(wanted, model)
        except UserError:
            raise  # said before anything was loaded
        except BaseException:
            sys.excepthook(*sys.exc_info())
            os._exit(1)


def _weights(model: Path) -> dict[str, tuple[str, State]]:
    """sha256 of each weight file, and its state then."""
    return {file.name: (hashing.of_file(file), _state(file)) for file in sorted(model.glob("*.safetensors"))}


def _hashes(weights: dict[str, tuple[str, State]]) -> Files:
    return {name: sha256 for name, (sha256, _) in weights.items()}


def _unchanged(before: dict[str, tuple[str, State]], model: Path) -> dict[str, tuple[str, State]]:
    """What was hashed, if it is what was then loaded."""
    if any(_state(model / name) != state for name, (_, state) in before.items()):
        raise RuntimeError(f"{model}: its weights changed while they were loaded")
    return before


def _state(file: Path) -> State:
    status = file.stat()
    return (status.st_ino, status.st_size, status.st_mtime_ns)


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    connection.sendall(json.dumps(message).encode() + b"\n")


def _receive(wire: io.BufferedIOBase) -> dict[str, Any]:
    """The next message; empty where the other side is gone."""
    try:
        line = wire.readline()
    except ConnectionError:
        return {}
    return dict(json.loads(line)) if line.endswith(b"\n") else {}


if __name__ == "__main__":
    order = json.loads(sys.argv[2])
    server = importlib.import_module("workflow_scripts.generate.engine_server")
    server.serve(Path(sys.argv[1]), order["recipe"], Path(order["model"]))
    os._exit(0)  # at once: the engine's threads are not waited for, and its processes go with it
