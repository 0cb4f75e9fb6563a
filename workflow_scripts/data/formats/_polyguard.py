"""ToxicityPrompts/PolyGuardPrompts, which gives two formats."""

from workflow_scripts.data.formats._base import Part, Problem, Raw


def is_harmful(raw: Raw, column: str) -> bool | None:
    """What people say; None where they do not."""
    label = (raw[column] or "").strip().casefold()
    if label not in ("", "harmful", "unharmful"):
        raise Problem(column, f"is neither harmful nor unharmful, but {label!r}")
    return None if label == "" else label == "harmful"


_NAMES = {
    "ar": "Arabic", "cs": "Czech", "de": "German", "en": "English", "es": "Spanish", "fr": "French", "hi": "Hindi",
    "it": "Italian", "ja": "Japanese", "ko": "Korean", "nl": "Dutch", "pl": "Polish", "pt": "Portuguese",
    "ru": "Russian", "sv": "Swedish", "th": "Thai", "zh": "Chinese",
}  # fmt: skip
LANGUAGES = {language: (Part(None, "test", {"language": name}, rows=1725),) for language, name in _NAMES.items()}
