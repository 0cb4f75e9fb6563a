"""Multilingual Dolly-200, of CohereLabs/aya_evaluation_suite.

Edited by people where it is, else translated by machine, as English is named.
"""

from workflow_scripts.data.formats._base import Format, Part, Raw


def _row(raw: Raw, _: str) -> Raw | str:
    if not (raw["inputs"] or "").strip():
        return "empty"
    return {"key": raw["id"], "prompt": raw["inputs"], "completion": (raw["targets"] or "").strip() or None}


# The script matters: some languages stand in several, of which one is usual.
_EDITED = {"ar": "arb Arab", "fr": "fra Latn", "hi": "hin Deva", "ru": "rus Cyrl", "es": "spa Latn", "sr": "srp Cyrl"}
_TRANSLATED = {
    "en": "eng Latn", "de": "deu Latn", "it": "ita Latn", "ja": "jpn Jpan", "ko": "kor Hang", "nl": "nld Latn",
    "pl": "pol Latn", "pt": "por Latn", "tr": "tur Latn", "uk": "ukr Cyrl", "vi": "vie Latn",
}  # fmt: skip


def _parts(config: str, tags: dict[str, str]) -> dict[str, tuple[Part, ...]]:
    pairs = {language: tag.split() for language, tag in tags.items()}
    return {
        language: (Part(config, "test", {"language": code, "script": script}, rows=200),)
        for language, (code, script) in pairs.items()
    }


FORMAT = Format(
    licence="Apache-2.0",
    languages=_parts("dolly_human_edited", _EDITED) | _parts("dolly_machine_translated", _TRANSLATED),
    columns={"id": "an id", "inputs": "text", "targets": "text"},
    row=_row,
    is_joined=True,
)
