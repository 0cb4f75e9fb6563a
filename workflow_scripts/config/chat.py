"""How conversations are written for loaded models."""

import datetime
from typing import Any, Literal

from pydantic import field_validator

from workflow_scripts.config.fields import result
from workflow_scripts.config.section import Section

# What renders a template gives these itself: transformers' names, and the tokens of a tokenizer.
RESERVED = frozenset(
    {"messages", "conversation", "tools", "documents", "chat_template", "add_generation_prompt", "tokenize", "padding",
     "continue_final_message", "truncation", "max_length", "return_tensors", "return_dict", "tokenizer_kwargs",
     "return_assistant_tokens_mask", "strftime_now", "raise_exception", "bos_token", "eos_token", "pad_token",
     "unk_token", "sep_token", "cls_token", "mask_token", "additional_special_tokens"}
)  # fmt: skip


class Chat(Section):
    """How conversations are written for loaded models, and for all that is made of them (docs/design/chat.md)."""

    template: str | None = result(
        None, neutral=None, description="path of a file with a Jinja template; null: the model's own"
    )
    system: str | None = result(None, neutral=None, description="of conversations that do not begin with a system turn")
    arguments: dict[str, Any] = result(
        {},
        neutral={},
        description="of the template, as enable_thinking: false; those that it does not read are refused",
    )
    date: str | None = result(
        None, neutral=None, description="YYYY-MM-DD, what a template hears that asks for today's date"
    )
    special_tokens: Literal["text", "tokens"] = result(
        "text", neutral="text", description="what special tokens are that stand in prompts and answers"
    )
    reasoning: Literal[
        "auto", "none", "harmony", "response", "think", "bracket", "command", "seed", "channel", "kimi"
    ] = result(
        "auto",
        neutral="auto",
        description="how answers mark reasoning, which is not judged; auto: as the template does",
    )

    @field_validator("arguments")
    @classmethod
    def _are_the_templates(cls, arguments: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(RESERVED & arguments.keys()):
            raise ValueError(f"{taken[0]} is no argument to give; it is set by what renders the template")
        return arguments

    @field_validator("date")
    @classmethod
    def _is_a_day(cls, date: str | None) -> str | None:
        if date is not None:
            try:
                same = datetime.date.fromisoformat(date).isoformat() == date
            except ValueError:
                same = False
            if not same:
                raise ValueError(f"'{date}' is no day; write it as 2025-01-31")
        return date

    def over(self, other: "Chat") -> "Chat":
        """These settings where they are given, and another section's where they are not."""
        return other.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})
