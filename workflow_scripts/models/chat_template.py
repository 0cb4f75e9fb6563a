"""A chat template with the settings of its model: what it writes for conversations, and around an answer."""

import datetime
import os.path
from collections.abc import Sequence
from typing import Any

from workflow_scripts.base import reasoning
from workflow_scripts.base.errors import UserError
from workflow_scripts.models import template_files

Turn = dict[str, str]  # role: system, user or assistant; content
Conversation = list[Turn]

QUESTION, ANSWER, NEXT = "Questionqxzj", "Answerqxzj", "Nextqxzj"  # what nobody writes, to find where it went
SHOWN = 60  # characters of a template's text in an error


class _ClockIsRead(Exception):
    """Raised where a template asks for today's date."""


def user(prompt: str) -> Conversation:
    """A conversation that is one question."""
    return [{"role": "user", "content": prompt}]


class ChatTemplate:
    r"""A template that was tried on conversations that nobody has.

    Attributes:
        text: of the template.
        prompting: what it writes behind a question, so that an answer follows: "<|im_end|>\n<|im_start|>assistant\n".
        before: what it writes between a question and an answer that is there.
        behind: what it writes behind the last answer; None where it leaves the answer out.
        between: what it writes behind an answer and before the next question.
        opens: the block of reasoning that its prompt begins, as "<think>\n", or nothing.
    """

    def __init__(self, tokenizer: Any, settings: dict[str, Any], name: str) -> None:
        """Try the template of a tokenizer.

        Args:
            tokenizer: of transformers.
            settings: all of template_files.NEUTRAL.
            name: of the model, for errors.

        Raises:
            UserError: there is none, or it does not go with the settings; all that is wrong, a line each.
        """
        self.tokenizer, self.settings, self.name = tokenizer, settings, name
        if not getattr(tokenizer, "chat_template", None):
            raise UserError(f"{name}: its tokenizer has no chat template; give one by chat.template")
        self.text = str(tokenizer.get_chat_template())
        self.prompting = self._prompting()
        told: Conversation = [*user(QUESTION), {"role": "assistant", "content": ANSWER}]
        self.before, self.behind = self._around_answer(told)
        self.between = self._around_answer([*told, *user(NEXT)])[1] or ""
        self.opens = reasoning.opened(self.prompting)
        if not self.opens and self.behind is not None and self.prompting.startswith(self.before):
            self.opens = self.prompting.removeprefix(self.before)

    def write(self, conversations: Sequence[Conversation], asks: bool, rows: Sequence[str] = ()) -> list[str]:
        """The texts of conversations.

        Args:
            conversations: they begin with the system's turn of the settings, unless they have one.
            asks: whether an answer is to follow.
            rows: their names, for errors.

        Raises:
            UserError: the template refuses one of them.
        """
        return [self._one(turns, asks, rows[index] if rows else "") for index, turns in enumerate(conversations)]

    def whole(self, turns: Conversation) -> Conversation:
        """A conversation with the system's turn of the settings, unless it has one."""
        system = self.settings["system"]
        has_one = system is None or turns[0]["role"] == "system"
        return turns if has_one else [{"role": "system", "content": system}, *turns]

    def why_no_prefix(self, prompt: str, whole: str, rows: Sequence[str]) -> str:
        """Why a prompt is no beginning of prompt and answer, for some rows."""
        more = f" and {len(rows) - 1} more" if rows[1:] else ""
        where = f" (row {rows[0]}{more})" if rows else ""
        if self.opens:
            off = "chat.arguments (enable_thinking: false)" if "enable_thinking" in self.text else ""
            off = off or "a template without it (chat.template)"
            return (
                f"{self.name}: its chat template opens {_shown(self.opens)} before an answer, which the answer does not"
                f" go on with{where}; turn that off by {off}, or give answers that go on"
                " with it and end it"
            )
        common = len(os.path.commonprefix([prompt, whole]))
        return (
            f"{self.name}: by its chat template the prompt is no prefix of prompt and answer{where}, which goes on with"
            f" {_shown(whole[common:])}, not {_shown(prompt[common:])}; correct the template"
        )

    def _one(self, turns: Conversation, asks: bool, row: str = "") -> str:
        system = self.settings["system"]
        try:
            return str(
                self.tokenizer.apply_chat_template(
                    self.whole(turns),
                    tokenize=False,
                    add_generation_prompt=asks,
                    strftime_now=self._today,
                    **self.settings["arguments"],
                )
            )
        except _ClockIsRead:
            raise UserError(
                f"{self.name}: its chat template asks for today's date, by which no two days would give the same; fix"
                " one by chat.date"
            ) from None
        except Exception as error:  # whatever code of a template raises
            said = " ".join(str(error).split()) or type(error).__name__
            where = f" at row {row}" if row else ""
            do = "correct the template or the row" if system is None else "remove chat.system, or give another template"
            raise UserError(f"{self.name}: its chat template fails{where} ({said}); {do}") from None

    def _today(self, form: str) -> str:
        if self.settings["date"] is None:
            raise _ClockIsRead
        return datetime.date.fromisoformat(self.settings["date"]).strftime(form)

    def _prompting(self) -> str:
        try:
            unread = sorted(self.settings["arguments"].keys() - template_files.names(self.text))
        except UserError as error:
            raise UserError(f"{self.name}: {error}") from None
        wrong = [f"{self.name}: its chat template does not read {key}; remove it from chat.arguments" for key in unread]
        prompt, system = "", self.settings["system"] or ""
        try:
            prompt = self._one(user(QUESTION), asks=True)
        except UserError as error:
            wrong.append(str(error))
        for turn, content in (("user", QUESTION), ("system", system.strip())):
            if prompt and content not in prompt:
                do = "remove chat.system, or give another template" if turn == "system" else "correct the template"
                wrong.append(f"{self.name}: its chat template leaves out the turn of the {turn}; {do}")
        if wrong:
            raise UserError("\n".join(wrong))
        return prompt.partition(QUESTION)[2]

    def _around_answer(self, turns: Conversation) -> tuple[str, str | None]:
        """What stands before an answer, from the question on, and behind it, up to the next question."""
        try:
            before, answer, behind = self._one(turns, asks=False).partition(QUESTION)[2].partition(ANSWER)
        except UserError:
            return "", None
        return before, behind.partition(NEXT)[0] if answer else None


def _shown(text: str) -> str:
    return repr(text if len(text) <= SHOWN else f"{text[:SHOWN]}...")
