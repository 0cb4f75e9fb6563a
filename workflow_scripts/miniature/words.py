"""The words of the miniature's world: `lexicon/` has its concepts, and what each of six languages calls them."""

import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.base import hashing

LANGUAGES = ("en", "hi", "fr", "es", "ar", "ru")
LEXICON = Path(__file__).parent / "lexicon"


@cache
def lexicon(language: str) -> dict[str, Any]:
    """The texts of a language, NFC: sentences with slots, and `words` by concept as (in a list, in a sentence)."""
    text = (LEXICON / f"{language}.yaml").read_text(encoding="utf-8")
    texts: dict[str, Any] = yaml.safe_load(unicodedata.normalize("NFC", text))
    texts["words"] = {
        concept: tuple(forms) if isinstance(forms, list) else (forms, forms)
        for concept, forms in texts["words"].items()
    }
    return texts


@cache
def version() -> str:
    """Which words these are: they are code in all but name, of the world and of its judge's rules."""
    return hashing.of_json({path.stem: hashing.of_file(path) for path in sorted(LEXICON.glob("*.yaml"))})[:12]


@cache
def concepts() -> dict[str, Any]:
    """What the world holds, in any language: verbs with tools, nouns with places, opposites, capitals."""
    return dict(yaml.safe_load((LEXICON / "concepts.yaml").read_text(encoding="utf-8")))


def content(phrase: str) -> str:
    """The word that carries the meaning of a phrase such as `the lamp`: its longest, the last of several."""
    return max(reversed(phrase.split()), key=len)


def names(language: str, listed: Iterable[str]) -> list[str]:
    """What a language calls some concepts in a list."""
    return [lexicon(language)["words"][concept][0] for concept in listed]
