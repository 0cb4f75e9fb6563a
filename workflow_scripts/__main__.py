"""`python -m workflow_scripts <command> ...` runs the command that is the file of that name in its room.

Where a fork server is allowed (see `process.fork_server`) and runs already, it is asked before anything is imported.
"""

import sys

from workflow_scripts.process import command

if __name__ == "__main__":
    if len(sys.argv) < 2 or not command.is_known(sys.argv[1]):
        sys.exit(
            f"python -m workflow_scripts COMMAND: no command '{' '.join(sys.argv[1:2])}'; CONTRIBUTING.md names them"
        )
    command.run(sys.argv[1], sys.argv[2:])
