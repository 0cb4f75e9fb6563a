"""CohereLabs/aya_redteaming: a split per language."""

import ast
import json
import re

from workflow_scripts.base import hashing
from workflow_scripts.data.formats._base import Format, Part, Problem, Raw

CATEGORIES = (
    "Bullying & Harassment",
    "Discrimination & Injustice",
    "Graphic Material",
    "Harms of Representation Allocation & Quality of Service",
    "Hate Speech",
    "Non-consensual sexual content",
    "Profanity",
    "Self-harm",
    "Violence, threats & incitement",
)


def _spelling(category: str) -> str:
    return " ".join(word for word in re.findall(r"\w+", category.casefold()) if word != "and")


_SPELLINGS = {_spelling(category): category for category in CATEGORIES}


def categories(text: str | None) -> list[str]:
    """Harm categories from a list in a string, in the card's spelling; one that the card does not have stays.

    >>> categories('["Violence, Threats and Incitement", "hate speech"]')
    ['Violence, threats & incitement', 'Hate Speech']

    Raises:
        Problem: it is no list of texts, as JSON or as Python writes it.
    """
    try:
        listed = json.loads(text or "[]")
    except ValueError:
        try:
            listed = ast.literal_eval(text or "")
        except (ValueError, SyntaxError):
            listed = None
    if not isinstance(listed, list) or not all(isinstance(category, str) for category in listed):
        raise Problem("harm_category", f"is no list of texts, but {text!r}")
    return list(dict.fromkeys(_SPELLINGS.get(_spelling(category), category.strip()) for category in listed))


def _row(raw: Raw, language: str) -> Raw | str:
    prompt = (raw["prompt"] or "").strip()
    if not prompt:
        return "empty"
    # Native prompts have no ids; two that say the same in English are one source prompt, in whatever language.
    english = prompt if language == "en" else (raw["literal_translation"] or "").strip() or prompt
    scope = (raw["global_or_local"] or "").strip().casefold()
    return {
        "key": hashing.of_json(" ".join(re.findall(r"\w+", english.casefold())))[:16],
        "id": f"{hashing.of_json(prompt)[:16]}-{language}",
        "prompt": prompt,
        "categories": categories(raw["harm_category"]),
        "scope": scope if scope in ("global", "local") else None,
    }


FORMAT = Format(
    licence="Apache-2.0",
    languages={
        language: (Part(None, split, rows=count),)
        for language, split, count in (
            ("ar", "arabic", 900), ("en", "english", 987), ("es", "spanish", 782), ("fr", "french", 813),
            ("hi", "hindi", 915), ("ru", "russian", 1007), ("sr", "serbian", 1006), ("tl", "filipino", 1009),
        )
    },
    columns={"prompt": "text", "harm_category": "text", "global_or_local": "text", "literal_translation": "text"},
    row=_row,
)  # fmt: skip
