"""Servers of this user on this machine: where their sockets lie, how one is started, reached and listens.

A socket's name carries what its server read when it started, so that no job is served by code that was edited since.
"""

import hashlib
import os
import selectors
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from workflow_scripts.base import disk
from workflow_scripts.base.registry import PACKAGE

START_SECONDS = 300.0
ORDER_SECONDS = 10.0  # a client that connects and does not say what it wants is dropped
READ_ON_IMPORT = ("HF_", "TRANSFORMERS_", "TORCH", "LITELLM_", "OMP_", "MKL_", "OPENBLAS_", "MPL", "PYTHON", "CUDA_")
CLUSTER_VARIABLES = ("SLURM_JOB_ID", "KUBERNETES_SERVICE_HOST", "PBS_JOBID", "LSB_JOBID")


def on_cluster() -> bool:
    """Whether this is a job of a cluster, whose processes must not outlive it."""
    return any(name in os.environ for name in CLUSTER_VARIABLES)


def read_on_start() -> list[str]:
    """What a process reads when it starts: Python, the sources, and the variables that libraries read on import."""
    sources = [f"{f.name} {(s := f.stat()).st_mtime_ns} {s.st_size}" for f in sorted(PACKAGE.rglob("*.py"))]
    variables = [f"{k}={v}" for k, v in sorted(os.environ.items()) if k.startswith(READ_ON_IMPORT)]
    return [sys.executable, str(PACKAGE), *sources, *variables]


def short_name(parts: list[str]) -> str:
    """A name that follows from texts; a socket's path has at most 107 bytes."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def private_folder() -> Path | None:
    """A folder on this machine that only this user can enter; None where there is none."""
    folder = Path(tempfile.gettempdir()) / f"mixmerge-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        status = folder.stat()
    except OSError:
        return None
    if status.st_uid != os.getuid() or status.st_mode & 0o077:
        return None  # somebody else's, or open to them
    return folder


def connect(address: Path) -> socket.socket | None:
    """A connection to the server at an address; None where there is none."""
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        return None
    return connection


def start(address: Path, module: str, *arguments: str, seconds: float = START_SECONDS) -> socket.socket | None:
    """Start a server, unless another job just did, and wait until it listens; None where it ends or takes too long."""
    with disk.locked(address):
        if connection := connect(address):
            return connection
        with open(f"{address}.log", "w") as log:
            server = subprocess.Popen(
                [sys.executable, "-m", f"workflow_scripts.{module}", str(address), *arguments],
                cwd=PACKAGE.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and server.poll() is None:
            if connection := connect(address):
                return connection
            time.sleep(0.05)
    return None


def listen(address: Path) -> tuple[socket.socket, selectors.BaseSelector]:
    """A socket that listens at an address, in place of one that a dead server left, and a selector that watches it."""
    address.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(address))
    listener.listen(64)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)
    return listener, selector
