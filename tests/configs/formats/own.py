"""A format as a user has it beside the config."""

from workflow_scripts.data.formats import Format, Part


def _row(raw, language):
    return (
        {"key": raw["id"], "prompt": raw["prompt"], "completion": raw["response"] or None} if raw["prompt"] else "empty"
    )


FORMAT = Format(
    licence="CC-BY-4.0",
    languages={
        "en": (Part(None, "test", {"language": "English"}),),
        "fr": (Part(None, "test", {"language": "French"}),),
    },
    columns={"id": "an id", "prompt": "text", "response": "text"},
    row=_row,
)
