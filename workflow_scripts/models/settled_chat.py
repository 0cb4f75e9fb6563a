"""What `chat` of the config makes of a model: tried once, before anything is made of the model."""

from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.models import template_files
from workflow_scripts.models.chat import Chat


class Settled(NamedTuple):
    """What a model gets.

    Attributes:
        files: their texts, by name.
        reasoning: how its answers mark reasoning, for those who judge them: `rule`, and whether the prompt opens the
            block; None where they do not.
    """

    files: dict[str, str]
    reasoning: dict[str, Any] | None


def settle(model: Path, template: str | None, chat: dict[str, Any], trust_remote_code: bool) -> Settled:
    """Try a model's chat template with its settings.

    Args:
        model: its folder, of which nothing is changed.
        template: in place of its own; None keeps that.
        chat: the other settings, all of them.
        trust_remote_code: of its tokenizer.

    Raises:
        UserError: as for `models.chat.Chat`.
    """
    tokenizer = template_files.tokenizer(model, trust_remote_code)
    if template is not None:
        tokenizer.chat_template = template
    # A model of ours that is loaded again has settings already.
    stated = {name: value for name, value in chat.items() if value != template_files.NEUTRAL[name]}
    settings = template_files.settings(model) | stated
    conversations = Chat(tokenizer, settings, template_files.eos(model, tokenizer), str(model))
    files = {
        template_files.TEMPLATE: template,
        template_files.SETTINGS: template_files.written(settings) if settings else None,
        template_files.GENERATION: template_files.with_ends(model, conversations.stops),
    }
    rule = conversations.rule
    return Settled(
        {name: text for name, text in files.items() if text is not None},
        {"rule": rule, "is_open": bool(conversations.template.opens)} if rule else None,
    )
