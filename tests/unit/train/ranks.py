"""Runs trainings in several processes as `launch` does, but forked from one that has imported what they need.

`python tests/unit/train/ranks.py <folder> ...`: each folder is a folder that `launch` laid out; rank 0 leaves the
result there.
"""

import itertools
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from accelerate.commands.launch import _validate_launch_command, launch_command_parser
from accelerate.utils.launch import prepare_multi_gpu_env

from tests.unit.train import rows_seen
from workflow_scripts.base import work_counter
from workflow_scripts.train import launch, trainer  # noqa: F401 (imported before the forks)


def environment(recipe: dict) -> dict[str, str]:
    """What the launcher sets by its file of settings."""
    file = str(launch.PROFILES / f"{recipe['parallel']}.yaml")
    arguments = ["--config_file", file, "--num_processes", str(recipe["processes"]), "script"]
    checked, _, _ = _validate_launch_command(launch_command_parser().parse_args(arguments))
    return dict(prepare_multi_gpu_env(checked))


def dying(steps: int) -> Callable[..., None]:
    """A meter that kills its process at the given step of the optimizer."""
    counted = itertools.count(1)

    def count(kind: str, amount: int = 1) -> None:
        if kind == "optimizer_steps" and next(counted) == steps:
            os.kill(os.getpid(), signal.SIGKILL)

    return count


def run(folder: Path) -> None:
    order = json.loads((folder / launch.ORDER).read_text())
    recipe = order["recipe"]
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    world = {
        "WORLD_SIZE": recipe["processes"],
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "TORCHELASTIC_RUN_ID": 1,
    }
    ranks = []
    for rank in range(recipe["processes"]):
        if not (child := os.fork()):
            here = {**environment(recipe), **world, "RANK": rank, "LOCAL_RANK": rank}
            os.environ.update({name: str(value) for name, value in here.items()})
            if "room" in order:  # bytes of memory that a rank may take beyond what it has
                taken = 4096 * int(Path("/proc/self/statm").read_text().split()[0])
                resource.setrlimit(resource.RLIMIT_AS, (taken + order["room"],) * 2)
            if rank == 0 and "steps" in order:  # after which this rank is killed
                work_counter.count = dying(order["steps"])
            if "record" in order:  # a folder for what each step saw
                rows_seen.record(Path(order["record"]), pytest.MonkeyPatch())
            try:
                launch.main(folder)
            except BaseException:
                sys.excepthook(*sys.exc_info())
                os._exit(1)
            os._exit(0)
        ranks.append(child)
    for child in ranks:
        os.waitpid(child, 0)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        run(Path(folder))
