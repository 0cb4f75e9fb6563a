"""A training in several processes: `accelerate launch` with a file of profiles/accelerate, one process per device.

The stage writes down what is to be trained, starts the launcher, and reads what rank 0 wrote.  Rows, recipe and result
pass through the folder of the training's state; errors in words pass the same way.  Every process dies with the one
that started it, also on kill -9, so that no orphan trains on.
"""

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from workflow_scripts.base import records
from workflow_scripts.base.errors import UserError

PROFILES = Path(__file__).parents[2] / "profiles" / "accelerate"
ROWS, ORDER, RESULT, CURVE, TOLD = "rows.parquet", "order.json", "result.json", "curve.parquet", "error.txt"


def train(recipe: dict[str, Any], parent: Path, rows: pa.Table, work: Path, output: Path) -> dict[str, Any]:
    """What `trainer.train` does, in `recipe["processes"]` processes.

    Raises:
        UserError: what a rank says, or the launcher failed without a word.
    """
    desk = work / "launch"
    shutil.rmtree(desk, ignore_errors=True)
    desk.mkdir(parents=True)
    pq.write_table(rows, desk / ROWS)
    order = {"recipe": recipe, "parent": str(parent), "work": str(work), "output": str(output)}
    (desk / ORDER).write_text(json.dumps(order))
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(PROFILES / f"{recipe['parallel']}.yaml")]
    command += ["--num_processes", str(recipe["processes"]), "--main_process_port", "0"]
    command += ["--module", "workflow_scripts.train.launch", str(desk)]
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(recipe["threads"])}
    status = subprocess.run(command, env=environment, preexec_fn=_die_with_parent).returncode
    if (desk / TOLD).exists():
        raise UserError((desk / TOLD).read_text())
    if status:
        raise UserError(f"accelerate launch ended with status {status}; what the processes said stands above")
    result: dict[str, Any] = json.loads((desk / RESULT).read_text())
    return {**result, "curve": records.read(desk / CURVE, records.CURVE)}


def main(desk: Path) -> None:
    """One of the processes, which torch's launcher has told its rank."""
    _die_with_parent()
    if os.getppid() == 1:
        os._exit(1)  # the launcher was killed before this process could ask to go with it
    from workflow_scripts.train import trainer

    order = json.loads((desk / ORDER).read_text())
    places = (Path(order[place]) for place in ("work", "output"))
    try:
        result = trainer.train(order["recipe"], Path(order["parent"]), pq.read_table(desk / ROWS), *places)
    except UserError as error:
        partial = desk / f".{TOLD}.{os.getpid()}"
        partial.write_text(str(error))
        partial.replace(desk / TOLD)
        os._exit(1)
    if os.environ["RANK"] == "0":
        records.write(desk / CURVE, result.pop("curve"), records.CURVE, {})
        (desk / RESULT).write_text(json.dumps(result))


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(Path(sys.argv[1]))
