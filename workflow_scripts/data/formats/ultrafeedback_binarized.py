"""HuggingFaceH4/ultrafeedback_binarized: of its six splits those with preferences."""

from workflow_scripts.data.formats._base import Format, Part, Raw


def _row(raw: Raw, _: str) -> Raw | str:
    if any([turn["role"] for turn in raw[side]] != ["user", "assistant"] for side in ("chosen", "rejected")):
        return "multi-turn"
    prompt, completion, rejected = raw["prompt"], raw["chosen"][1]["content"], raw["rejected"][1]["content"]
    if not all((text or "").strip() for text in (prompt, completion, rejected)):
        return "empty"
    if raw["score_chosen"] == raw["score_rejected"]:
        return "tie"  # which of the two is called chosen means nothing
    return {"key": raw["prompt_id"], "prompt": prompt, "completion": completion, "rejected": rejected}


FORMAT = Format(
    licence="MIT",
    languages={"en": (Part(None, "train_prefs", {}, "train", 61135), Part(None, "test_prefs", {}, "test", 2000))},
    columns={
        "prompt": "text",
        "prompt_id": "an id",
        "chosen": "a list of messages",
        "rejected": "a list of messages",
        "score_chosen": "a number",
        "score_rejected": "a number",
    },
    row=_row,
)
