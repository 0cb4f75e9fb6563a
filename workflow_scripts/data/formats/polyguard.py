"""ToxicityPrompts/PolyGuardPrompts: answers with labels, to measure judges."""

from workflow_scripts.data.formats._base import Format, Raw
from workflow_scripts.data.formats._polyguard import LANGUAGES, is_harmful


def _row(raw: Raw, _: str) -> Raw | str:
    harmful = is_harmful(raw, "response_harm_label")
    if not (raw["prompt"] or "").strip():
        return "empty"
    if harmful is None or not (raw["response"] or "").strip():
        return "unlabelled"
    label = "harmful" if harmful else "harmless"
    return {"key": raw["id"], "prompt": raw["prompt"], "completion": raw["response"], "label": label}


FORMAT = Format(
    licence="CC-BY-4.0",
    languages=LANGUAGES,
    columns={"id": "an id", "prompt": "text", "response": "text", "response_harm_label": "text"},
    row=_row,
)
