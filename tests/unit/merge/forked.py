"""A user's method is described in a process of its own: tests fork it, which spares the import of mergekit."""

import io
import os
import sys
import traceback
from types import SimpleNamespace

from workflow_scripts.process import job


class Described:
    """In place of `subprocess.run`: the command in a fork, which spares the seconds that importing mergekit takes."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self, command: list[str], **_: object) -> SimpleNamespace:
        self.count += 1
        stage, *arguments = command[3:]
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            status = 1
            try:
                sys.stdout, sys.stderr = io.StringIO(), os.fdopen(writing, "w")
                status = job.execute(stage, arguments)
            except SystemExit as error:
                status = 2
                print(error, file=sys.stderr)
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        os.close(writing)
        with os.fdopen(reading) as said:
            text = said.read()
        return SimpleNamespace(returncode=os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), stderr=text)
