"""Variation as data: a registry is a folder, a row of it is a file, and a row's name is that of its file."""

import importlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError

Row = TypeVar("Row")

PACKAGE = Path(__file__).parent.parent


class Registry(Mapping[str, Row]):
    """The rows in a sub-package, and those that users keep beside their config (`beside.KINDS`).

    They are imported when they are asked for.

    Rows are found by name and never named in code, so a row that is added changes no other row's code, and code that
    uses one row does not depend on the others.

    >>> from workflow_scripts.data import mixture
    >>> Registry("data", "draw")["mixture"] is mixture.draw
    True
    """

    def __init__(self, place: str, attribute: str, kind: type = object) -> None:
        """Rows of a place.

        Args:
            place: the sub-package below workflow_scripts, with dots, such as data.formats.
            attribute: the name that a row has in its file, such as FORMAT.
            kind: what a row is.
        """
        self.place, self.attribute, self.kind = place, attribute, kind

    def __getitem__(self, name: str) -> Row:
        """The row of a name.

        Raises:
            KeyError: there is no file of this name.
            UserError: a user's file has the name of one of ours, cannot be run, or defines no row of the kind.
        """
        own = self.own(name)
        if own is None and name not in self.built_in():
            raise KeyError(name)
        module = beside.module(own) if own else importlib.import_module(f"workflow_scripts.{self.place}.{name}")
        if not isinstance(getattr(module, self.attribute, None), self.kind):
            see = f"see those of workflow_scripts/{self.place.replace('.', '/')}"
            raise UserError(f"{own}: defines no `{self.attribute} = {self.kind.__name__}(...)`; {see}")
        row: Row = getattr(module, self.attribute)
        return row

    def __iter__(self) -> Iterator[str]:
        return iter(sorted({*self.built_in(), *self._own()}))

    def __len__(self) -> int:
        return len(list(iter(self)))

    def __contains__(self, name: object) -> bool:
        return name in self.built_in() or name in self._own()

    def own(self, name: str) -> Path | None:
        """The user's file of a name, or None.

        Raises:
            UserError: it has the name of one of ours.
        """
        path = beside.find(beside.KINDS[self.place], name) if self.place in beside.KINDS else None
        if path and name in self.built_in():
            raise UserError(f"{path}: mixmerge has a {name} of its own; give the file another name")
        return path

    def _own(self) -> list[str]:
        return beside.names(beside.KINDS[self.place]) if self.place in beside.KINDS else []

    def built_in(self) -> list[str]:
        """Names of our rows, in alphabetical order; a file whose name begins with _ is no row."""
        files = os.listdir(PACKAGE.joinpath(*self.place.split(".")))  # a glob takes ten times as long
        return sorted(file.removesuffix(".py") for file in files if file.endswith(".py") and not file.startswith("_"))
