"""A training in several processes: `accelerate launch` with a file of profiles/accelerate, one process per device.

The stage writes down what is to be trained, starts the launcher, and reads what rank 0 wrote.  Rows, recipe, result
and a user's error pass through files in a folder of the training's state.  Every process dies with the one that
started it, also on kill -9, so that no orphan goes on training.
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
ROWS, ORDER, RESULT, CURVE, ERROR = "rows.parquet", "order.json", "result.json", "curve.parquet", "error.txt"


def train(recipe: dict[str, Any], parent: Path, rows: pa.Table, work: Path, output: Path) -> dict[str, Any]:
    """What `trainer.train` does, in `recipe["processes"]` processes.

    Raises:
        UserError: what a rank says, or the launcher failed without a word.
    """
    folder = work / "launch"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    pq.write_table(rows, folder / ROWS)
    order = {"recipe": recipe, "parent": str(parent), "work": str(work), "output": str(output)}
    (folder / ORDER).write_text(json.dumps(order))
    command = [sys.executable, "-m", "accelerate.commands.launch"]
    command += ["--config_file", str(PROFILES / f"{recipe['parallel']}.yaml")]
    command += ["--num_processes", str(recipe["processes"]), "--main_process_port", "0"]
    command += ["--module", "workflow_scripts.train.launch", str(folder)]
    package = str(Path(__file__).parents[2])
    path = os.pathsep.join([package, *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(recipe["threads"])}
    status = subprocess.run(command, env=environment, preexec_fn=_die_with_parent).returncode
    if (folder / ERROR).exists():
        raise UserError((folder / ERROR).read_text())
    if status:
        raise UserError(f"accelerate launch ended with status {status}; see their output above")
    result: dict[str, Any] = json.loads((folder / RESULT).read_text())
    return {**result, "curve": records.read(folder / CURVE, records.CURVE)}


def main(folder: Path) -> None:
    """One of the processes; torch's launcher has set its rank."""
    _die_with_parent()
    if os.getppid() == 1:
        os._exit(1)  # the launcher was killed before this process could ask to go with it
    from workflow_scripts.train import trainer

    order = json.loads((folder / ORDER).read_text())
    places = (Path(order[place]) for place in ("work", "output"))
    try:
        result = trainer.train(order["recipe"], Path(order["parent"]), pq.read_table(folder / ROWS), *places)
    except UserError as error:
        partial = folder / f".{ERROR}.{os.getpid()}"
        partial.write_text(str(error))
        partial.replace(folder / ERROR)
        os._exit(1)
    if os.environ["RANK"] == "0":
        records.write(folder / CURVE, result.pop("curve"), records.CURVE, {})
        (folder / RESULT).write_text(json.dumps(result))


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


if __name__ == "__main__":
    main(Path(sys.argv[1]))
