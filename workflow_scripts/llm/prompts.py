"""The prompts of judges, translators and rephrasers: a text file each, in which foreign texts stand in fences.

What models and strangers wrote is hostile: it may imitate the prompt's structure or address the reader.  So each text
stands in a fence whose code no text contains.
"""

import hashlib
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError

PROMPTS = Path(__file__).parent / "prompt_files"


def template(name: str) -> str:
    """The text of a judge's prompt, by its name with its version, such as harm-v1.

    Raises:
        UserError: there is none of this name.
    """
    path = PROMPTS / f"{name}.txt"
    if path not in set(PROMPTS.glob("*.txt")):
        known = ", ".join(sorted(path.stem for path in PROMPTS.glob("*.txt")))
        raise UserError(f"judges: no prompt {name!r} in {PROMPTS.name}; there are {known}")
    return path.read_text(encoding="utf-8")


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
    system, line, user = prompt_template.partition("\n---\n")
    if absent := [tag for tag in texts if f"{{{tag}}}" not in user] or ([] if line else ["---"]):
        raise UserError(f"judges: the prompt has no {', '.join(absent)}; see {PROMPTS.name} for how it looks")
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
