"""A function that runs code of others (templates, tokenizers) in a process of its own, for so long and no longer."""

import multiprocessing
import resource
import traceback
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeVar

from workflow_scripts.base.errors import UserError

T = TypeVar("T")
ROOM = 4 << 30  # bytes that the function may take beside what its process has already


def within(seconds: float, what: str, function: Callable[..., T], *arguments: object) -> T:
    """What a function returns, as long as it takes no longer.

    Args:
        seconds: the time it has.
        what: it is about, for errors.
        function: runs in a fork of this process, so that what is imported already is there; its result is pickled.
        arguments: of the function.

    Raises:
        UserError: the function's own; or it took too long, or its process ended.
    """
    ours, theirs = multiprocessing.Pipe(duplex=False)
    child = multiprocessing.get_context("fork").Process(target=_run, args=(theirs, function, arguments), daemon=True)
    child.start()
    theirs.close()
    try:
        if not ours.poll(seconds):
            raise UserError(f"{what}: not done in {seconds:g} seconds, and given up; look for a loop that does not end")
        outcome, value = ours.recv()
    except EOFError:
        raise UserError(f"{what}: ended by itself (out of memory?); look for what makes it so large") from None
    finally:
        child.kill()
        child.join()
        ours.close()
    if outcome == "user error":
        raise UserError(value)
    if outcome == "error":
        raise RuntimeError(value)
    return value  # type: ignore[no-any-return]


def _run(connection: Connection, function: Callable[..., object], arguments: tuple[object, ...]) -> None:
    with suppress(OSError, ValueError):  # where a system does not say, or does not limit
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + ROOM,) * 2)
    try:
        connection.send(("value", function(*arguments)))
    except UserError as error:
        connection.send(("user error", str(error)))
    except BaseException:
        connection.send(("error", traceback.format_exc()))
