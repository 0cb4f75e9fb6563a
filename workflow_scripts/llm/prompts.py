"""The prompts of judges, translators and rephrasers: a text file each, in which foreign texts stand in fences.

The user's own lie in `prompts/` beside their config.  What models and strangers wrote is hostile: it may imitate the
prompt's structure or address the reader.  So each text stands in a fence whose code no text contains.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from workflow_scripts.base import beside
from workflow_scripts.base.errors import UserError

OURS = Path(__file__).parent / "prompt_files"
KIND = "prompts"  # the folder beside the config
LOOKS = "docs/judges.md says what a prompt holds"


class Holds(NamedTuple):
    """What a prompt must hold.

    Attributes:
        texts: tags, each of which has its place below the line ``---``.
        places: tags of what stands in it anywhere, such as a language.
        answer: the member of JSON that is read from the answer, if one is.
    """

    texts: Iterable[str]
    places: Iterable[str] = ()
    answer: str | None = None


def names() -> list[str]:
    """The names of all prompts, with their versions, such as harm-v1."""
    return sorted({*(path.stem for path in OURS.glob("*.txt")), *beside.names(KIND, ".txt")})


def template(name: str) -> str:
    """The text of a prompt.

    Raises:
        UserError: there is none of this name, it cannot be read, or a user's has the name of one of ours.
    """
    ours, own = OURS / f"{name}.txt", beside.find(KIND, name, ".txt")
    is_ours = ours in set(OURS.glob("*.txt"))
    if own and is_ours:
        raise UserError(f"{own}: mixmerge has a prompt {name} of its own; give the file another name")
    if not own and not is_ours:
        raise UserError(f"no prompt {name!r}; there are {', '.join(names())}")
    try:
        return (own or ours).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{own or ours}: cannot be read ({error}); save it as text in UTF-8") from None


def check(prompt_template: str, holds: Holds) -> None:
    """Raise where a prompt cannot be asked with, or its answer not be read.

    Raises:
        UserError: it has no line ``---``, lacks a place, or does not say which member of JSON is read.
    """
    _, line, below = prompt_template.partition("\n---\n")
    if not line:
        raise UserError(f"the prompt has no line --- between what is asked and the texts; {LOOKS}")
    absent = [f"{{{tag}}} below the line ---" for tag in holds.texts if f"{{{tag}}}" not in below]
    absent += [f"{{{tag}}}" for tag in holds.places if f"{{{tag}}}" not in prompt_template]
    if holds.answer and f'"{holds.answer}"' not in prompt_template:
        absent.append(f'"{holds.answer}", the member of JSON that is read from the answer')
    if absent:
        raise UserError(f"the prompt has no {', no '.join(absent)}; {LOOKS}")


def messages(prompt_template: str, texts: dict[str, str]) -> list[dict[str, str]]:
    r"""What the judge reads: what stands above the template's line ``---``, then the texts, fenced.

    The fence's code comes from the texts, so that the same question is the same request, and is in none of them.

    Args:
        prompt_template: with a place for each text, its tag in braces.
        texts: by tag.

    Raises:
        UserError: the template has no place for a text, or no line ``---``.

    >>> print(messages("Judge.\n---\n{PROMPT}\nSay!", {"PROMPT": "Hi {PROMPT}"})[1]["content"])
    <<<PROMPT 075b023b6349e595>>>
    Hi {PROMPT}
    <<<END 075b023b6349e595>>>
    Say!
    """
    check(prompt_template, Holds(texts))
    system, _, user = prompt_template.partition("\n---\n")
    code = nonce(texts.values())
    fenced = {f"{{{tag}}}": f"<<<{tag} {code}>>>\n{text}\n<<<END {code}>>>" for tag, text in texts.items()}
    # All at once: a text that holds another's place keeps it as it is.
    user = re.sub("|".join(map(re.escape, fenced)), lambda place: fenced[place[0]], user)
    return [{"role": "system", "content": system.strip()}, {"role": "user", "content": user.strip()}]


def nonce(texts: Iterable[str]) -> str:
    """A code of 16 hexadecimal digits that follows from the texts and is in none of them."""
    texts = [text.lower() for text in texts]
    content = json.dumps(texts).encode()
    code = hashlib.sha256(content).hexdigest()[:16]
    while any(code in text for text in texts):
        content += b" "
        code = hashlib.sha256(content).hexdigest()[:16]
    return code


def members(text: str) -> list[tuple[str, Any]]:
    """The name and value of every member of every JSON object in a text; members of duplicate names all count."""
    found: list[tuple[str, Any]] = []
    decoder = json.JSONDecoder(object_pairs_hook=found.extend)
    start = text.find("{")
    while start >= 0:
        try:
            _, end = decoder.raw_decode(text, start)
        except (ValueError, RecursionError):
            end = start + 1
        start = text.find("{", end)
    return found
