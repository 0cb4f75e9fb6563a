"""What every translator is: pieces in, translations out."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class Piece(NamedTuple):
    """What is translated at once, and from and into which language."""

    text: str
    source: str
    target: str


class Translator(Protocol):
    """What translates pieces.

    Attributes:
        by_sentence: whether pieces are sentences, or as much as fits.
        most: the largest size of a piece.
        place: key of its pieces in the store, None where a ledger keeps them.
        usd: what its translations cost.
    """

    by_sentence: bool
    most: int
    place: str | None
    usd: float

    def size(self, text: str) -> int:
        """The size of a text, in the translator's tokens."""
        ...

    def translate(self, pieces: Sequence[Piece]) -> dict[Piece, str | None]:
        """The translation of each piece; None where there is none to be had, as of what a provider filters."""
        ...
