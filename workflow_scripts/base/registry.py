"""Variation as data: a registry is a folder, a row of it is a file, and a row's name is that of its file."""

import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

Row = TypeVar("Row")

PACKAGE = Path(__file__).parent.parent


class Registry(Mapping[str, Row]):
    """The rows in a sub-package, imported when they are asked for.

    Rows are found by name and never named in code, so a row that is added changes no other row's code, and code that
    uses one row does not depend on the others.

    >>> from workflow_scripts.data import mixture
    >>> Registry("data", "draw")["mixture"] is mixture.draw
    True
    """

    def __init__(self, place: str, attribute: str) -> None:
        """Rows of a place.

        Args:
            place: the sub-package below workflow_scripts, with dots, such as data.formats.
            attribute: the name that a row has in its file, such as FORMAT.
        """
        self.place, self.attribute = place, attribute

    def __getitem__(self, name: str) -> Row:
        """The row of a name.

        Raises:
            KeyError: there is no file of this name.
        """
        if name not in self._files():
            raise KeyError(name)
        row: Row = getattr(importlib.import_module(f"workflow_scripts.{self.place}.{name}"), self.attribute)
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(self._files())

    def __len__(self) -> int:
        return len(self._files())

    def __contains__(self, name: object) -> bool:
        return name in self._files()

    def _files(self) -> list[str]:
        """Names of rows, in alphabetical order; a file whose name begins with _ is no row."""
        files = os.listdir(PACKAGE.joinpath(*self.place.split(".")))  # a glob takes ten times as long
        return sorted(file.removesuffix(".py") for file in files if file.endswith(".py") and not file.startswith("_"))
