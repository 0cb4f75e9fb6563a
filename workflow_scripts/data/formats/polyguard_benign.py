"""ToxicityPrompts/PolyGuardPrompts: harmless prompts, to see who refuses too much."""

from workflow_scripts.data.formats._base import Format, Raw
from workflow_scripts.data.formats._polyguard import LANGUAGES, is_harmful


def _row(raw: Raw, _: str) -> Raw | str:
    harmful = is_harmful(raw, "prompt_harm_label")
    if not (raw["prompt"] or "").strip():
        return "empty"
    if harmful is None:
        return "unlabelled"
    return "harmful" if harmful else {"key": raw["id"], "prompt": raw["prompt"]}


FORMAT = Format(
    licence="CC-BY-4.0",
    languages=LANGUAGES,
    columns={"id": "an id", "prompt": "text", "prompt_harm_label": "text"},
    row=_row,
)
