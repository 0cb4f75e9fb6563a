"""The files of a model that say how conversations are written, as they are read and as `load` writes them.

Transformers is imported only where a tokenizer is needed, so that the rest can be asked while the Snakefile is parsed.
"""

import json
import re
from pathlib import Path
from typing import Any

from workflow_scripts.base.errors import UserError
from workflow_scripts.models import directory

TEMPLATE = "chat_template.jinja"
SETTINGS = "mixmerge_chat.json"
GENERATION = "generation_config.json"
NEUTRAL: dict[str, Any] = {"system": None, "arguments": {}, "date": None, "special_tokens": "text", "reasoning": "auto"}
MARKS_ANSWERS = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")  # tags that transformers adds to Jinja


def template(folder: Path) -> str | None:
    """The template that conversations are written by; None where there is none.

    Raises:
        UserError: tokenizer_config.json, where it lies, is not JSON.
    """
    file = folder / TEMPLATE
    if file.is_file():
        return file.read_text(encoding="utf-8", errors="replace")
    if not (folder / "tokenizer_config.json").is_file():
        return None
    stated = directory.read_object(folder / "tokenizer_config.json").get("chat_template")
    if isinstance(stated, list):  # several by name, as of Command R
        named = {one.get("name"): one.get("template") for one in stated if isinstance(one, dict)}
        stated = named.get("default")
    return stated if isinstance(stated, str) and stated else None


def names(template: str) -> set[str]:
    """The names that a template uses.

    Raises:
        UserError: it is not Jinja.
    """
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(extensions=["jinja2.ext.loopcontrols"])
    try:
        tree = environment.parse(MARKS_ANSWERS.sub("", template))
    except (TemplateSyntaxError, RecursionError) as error:
        line = f"line {error.lineno}: " if isinstance(error, TemplateSyntaxError) else ""
        raise UserError(f"no chat template in Jinja ({line}{' '.join(str(error).split())}); correct it") from None
    return {node.name for node in tree.find_all(nodes.Name)}


def settings(folder: Path) -> dict[str, Any]:
    """What `load` wrote of a model's chat; nothing where all is neutral.

    Raises:
        UserError: the file is not what `load` writes.
    """
    file = folder / SETTINGS
    found = directory.read_object(file) if file.is_file() else {}
    if unknown := found.keys() - NEUTRAL.keys():
        raise UserError(f"{file}: {sorted(unknown)[0]} is nothing that mixmerge writes; delete the file, or restore it")
    return found


def written(settings: dict[str, Any]) -> str:
    """The text of the file that `settings` reads."""
    return json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def tokenizer(folder: Path, trust_remote_code: bool) -> Any:
    """The tokenizer of a model.

    Raises:
        UserError: transformers cannot read it.
    """
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=trust_remote_code)
    except Exception as error:  # whatever a library of tokenizers raises about a file
        said = " ".join(str(error).split())[:300]
        raise UserError(f"{folder}: its tokenizer cannot be read ({type(error).__name__}: {said})") from None


def eos(folder: Path, tokenizer: Any) -> list[int]:
    """The tokens at which a model stops by itself: those that transformers' `generate` reads, and its tokenizer's."""
    source = GENERATION if (folder / GENERATION).is_file() else "config.json"
    stated = directory.read_object(folder / source).get("eos_token_id") if (folder / source).is_file() else None
    listed = stated if isinstance(stated, list) else [stated]
    return [*dict.fromkeys(token for token in [*listed, tokenizer.eos_token_id] if isinstance(token, int))]


def with_ends(folder: Path, stops: list[int]) -> str | None:
    """The text of a generation_config.json that names all these ends; None where that of the folder does.

    Those that it names stay first, in their order: `generate` pads with the first.
    """
    file = folder / GENERATION
    found = directory.read_object(file) if file.is_file() else _of_config(folder)
    stated = found.get("eos_token_id")
    named = [token for token in (stated if isinstance(stated, list) else [stated]) if isinstance(token, int)]
    if set(stops) <= set(named):
        return None
    ends = [*named, *(token for token in stops if token not in named)]
    return json.dumps({**found, "eos_token_id": ends}, indent=2, ensure_ascii=False) + "\n"


def _of_config(folder: Path) -> dict[str, Any]:
    """What `generate` would read where there is no generation_config.json."""
    config = directory.read_object(folder / "config.json") if (folder / "config.json").is_file() else {}
    keys = ("bos_token_id", "eos_token_id", "pad_token_id")
    return {key: config[key] for key in keys if config.get(key) is not None}
