"""A process that has imported torch, transformers, trl and mergekit once, and forks for each job.

Importing them takes 7 to 11 s, longer than a job of the miniature.  The first job that needs them starts the server;
later ones hand over their arguments, folder, environment and standard streams, and get the exit status back.  A job
dies with the command that asked for it, and with the server.  The server goes when it has been idle, and never runs
code that was edited since, since its address follows from the sources and from what libraries read on import.

It saves time and decides nothing: with MIXMERGE_WARM=0 everything works and gives the same bits.  It is never
used with CUDA (which does not survive a fork), on a cluster's node, or off Linux.
"""

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import selectors
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from workflow_scripts.process import job, sockets

IDLE_SECONDS = 45.0
PRELOADED = (
    "torch",
    "transformers",
    "workflow_scripts.train.trainer",
    "workflow_scripts.train.random_model",
    "workflow_scripts.train.methods.sft",
    "workflow_scripts.train.methods.dpo",
    "workflow_scripts.train.methods.kto",
    "workflow_scripts.models.check",
    "workflow_scripts.train.adapters",
    "workflow_scripts.generate.engine",
    "workflow_scripts.merge.with_mergekit",
    "workflow_scripts.paper.drawing",
    "litellm",
    "litellm.litellm_core_utils.default_encoding",  # else each job reads it again, at its first request
    "scipy.stats",
    "statsmodels.stats.multitest",
)
_is_server = False


class Wanted(Exception):
    """Raised where work begins that the fork server should do."""


def allowed() -> bool:
    """Whether jobs on this machine may share a process."""
    return (
        os.environ.get("MIXMERGE_WARM", "1") != "0"
        and sys.platform == "linux"
        and not os.path.exists("/dev/nvidiactl")
        and not sockets.on_cluster()
    )


def inside() -> bool:
    """Whether this is a job of the server."""
    return _is_server


def ask(stage: str, arguments: list[str], may_start: bool = False) -> int | None:
    """Have the server run a stage; its exit status, or None where there is no server and none is to be started."""
    address = _address()
    connection = sockets.connect(address) if address else None
    if address and connection is None and may_start:
        connection = sockets.start(address, "process.fork_server")
    if connection is None:
        return None
    with connection:
        order = {"stage": stage, "arguments": arguments, "folder": os.getcwd(), "environment": dict(os.environ)}
        streams = array.array("i", [0, 1, 2])
        body = json.dumps(order).encode()
        connection.sendmsg([len(body).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, streams)])
        connection.sendall(body)
        answer = connection.recv(1)
    return answer[0] if answer else 1


def _address() -> Path | None:
    """A socket named after all that the server took in; None without a folder for it."""
    folder = sockets.private_folder()
    return folder / sockets.short_name(sockets.read_on_start()) if folder else None


# The server


def serve(address: Path) -> None:
    """Import what jobs need, then fork for each until idle."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # read on import; see `llm`
    for module in PRELOADED:
        importlib.import_module(module)
    gc.freeze()  # who collects garbage in a job (accelerate, statsmodels) need not go through half a second of imports
    listener, selector = sockets.listen(address)
    jobs: dict[int, socket.socket] = {}
    last_busy, is_leaving = time.monotonic(), False
    while jobs or not is_leaving:
        if not jobs and time.monotonic() - last_busy > IDLE_SECONDS:
            address.unlink(missing_ok=True)  # nobody comes after this; who came before is served below
            is_leaving = True
        for key, _ in selector.select(0.02 if jobs or is_leaving else 1.0):
            if key.fileobj is listener:
                connection, _ = listener.accept()
                try:
                    order, streams = _receive(connection)
                except (OSError, ValueError):  # the command was killed before it said what it wants
                    connection.close()
                    continue
                jobs[_fork(order, streams, [listener, connection, *jobs.values()])] = connection
                selector.register(connection, selectors.EVENT_READ)
                for stream in streams:
                    os.close(stream)
            else:  # nobody writes twice: the client is gone, and its job goes with it
                for pid in [pid for pid, client in jobs.items() if client is key.fileobj]:
                    os.kill(pid, signal.SIGKILL)
                selector.unregister(key.fileobj)
        for pid in [pid for pid in jobs if _ended(pid, jobs, selector)]:
            jobs.pop(pid).close()
            last_busy = time.monotonic()


def _ended(pid: int, jobs: dict[int, socket.socket], selector: selectors.BaseSelector) -> bool:
    ended, status = os.waitpid(pid, os.WNOHANG)
    if not ended:
        return False
    connection = jobs[pid]
    if connection in {key.fileobj for key in selector.get_map().values()}:
        selector.unregister(connection)
    with contextlib.suppress(OSError):  # the client is gone
        connection.send(bytes([os.waitstatus_to_exitcode(status) & 0xFF]))
    return True


def _fork(order: dict[str, Any], streams: list[int], connections: list[socket.socket]) -> int:
    """Fork a job: the parent gets its process id at once, the child never returns."""
    server = os.getpid()
    if pid := os.fork():
        return pid
    status = 1
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the server
        if os.getppid() != server:
            os._exit(1)
        for connection in connections:
            connection.close()
        for target, stream in enumerate(streams):
            os.dup2(stream, target)
        os.chdir(order["folder"])
        os.environ.clear()
        os.environ.update(order["environment"])
        global _is_server
        _is_server = True
        with job.running():
            status = job.execute(order["stage"], order["arguments"])
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 1
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """What to run and the standard streams to run it with.

    Raises:
        OSError, ValueError: the command is gone, or says nothing.
    """
    connection.settimeout(sockets.ORDER_SECONDS)
    size, control, _, _ = connection.recvmsg(8, socket.CMSG_LEN(12))
    streams = array.array("i")
    for _, _, numbers in control:
        streams.frombytes(numbers)
    body = b""
    try:
        while len(body) < int.from_bytes(size, "big") and (more := connection.recv(1 << 16)):
            body += more
        connection.settimeout(None)
        return json.loads(body), list(streams)
    except (OSError, ValueError):
        for stream in streams:
            os.close(stream)
        raise


if __name__ == "__main__":
    this = importlib.import_module("workflow_scripts.process.fork_server")  # as jobs import it, not as __main__
    this.serve(Path(sys.argv[1]))
