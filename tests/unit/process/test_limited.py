import time
from typing import Any

import pytest

from workflow_scripts.base.errors import UserError
from workflow_scripts.process import limited


def say(*values: Any) -> tuple[Any, ...]:
    return values


def loop() -> None:
    while True:
        pass


def refuse() -> None:
    raise UserError("no")


def take(count: int) -> int:
    return len(bytearray(count))


def test_what_a_function_returns_or_raises_comes_back() -> None:
    assert limited.within(20, "x", say, 1, "a") == (1, "a")
    with pytest.raises(UserError, match="^no$"):
        limited.within(20, "x", refuse)
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        limited.within(20, "x", divmod, 1, 0)


def test_a_loop_ends_and_so_does_what_takes_all_memory() -> None:
    started = time.monotonic()
    with pytest.raises(UserError, match="x: not done in 0.5 seconds"):
        limited.within(0.5, "x", loop)
    assert time.monotonic() - started < 10
    with pytest.raises((UserError, RuntimeError), match=r"MemoryError|ended by itself"):
        limited.within(60, "x", take, 8 << 30)
