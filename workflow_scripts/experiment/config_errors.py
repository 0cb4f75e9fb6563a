"""What is wrong with an experiment file: a line for each mistake, all at once, and none for what follows from another.

An entry with a mistake is set aside, so that the rest can still be checked; names that refer to it count as known.
"""

import copy
import difflib
import fnmatch
import json
from collections.abc import Collection
from typing import Any, get_origin

from pydantic import TypeAdapter, ValidationError

from workflow_scripts.base.errors import UserError
from workflow_scripts.config.experiment import Config
from workflow_scripts.config.models import PLACEHOLDER

Path = tuple[str | int, ...]

ENTRIES = {name for name, field in Config.model_fields.items() if get_origin(field.annotation) is dict}
TAGGED = {"sources", "translators"}  # sections whose error locations carry the name of a type

# What stands in for a required section that is set aside.
FALLBACK: dict[str, Any] = {
    **{section: {} for section in ("sources", "mixtures", "suites", "models", "judges")},
    "experiment": "x",
    "seeds": [0],
    "languages": ["x"],
    "baseline": "x",
    "generation": {"max_new_tokens": 1, "max_model_len": 2},
}


class ConfigError(UserError):
    """All that is wrong with an experiment file, a line each."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("\n".join(lines))
        self.lines = lines


class Errors:
    """The lines so far, and what was set aside, by section; '*' is all of a section."""

    def __init__(self) -> None:
        self._lines: dict[str, None] = {}
        self._aside: dict[str, list[str]] = {}

    @property
    def lines(self) -> list[str]:
        """A line for every mistake, each once."""
        return list(self._lines)

    def add(self, key: str, what: str) -> None:
        """Note a mistake: the key, what is wrong, what to do."""
        self._lines[" ".join(f"{key}: {what}".split())] = None

    def set_aside(self, section: str, name: str = "*") -> None:
        """Count the name of an entry as known; the name of a row with a grid stands for all that it makes."""
        self._aside.setdefault(section, []).append(PLACEHOLDER.sub("*", name))

    def complete(self, section: str) -> bool:
        """Whether nothing of a section is set aside."""
        return section not in self._aside

    def known(
        self, key: str, name: str, section: str, among: Collection[str], what: str, beside: str | None = None
    ) -> bool:
        """Whether a name is among those that there are; a mistake if it is not, unless what it names was set aside.

        Args:
            key: where the name stands.
            name: of what must be there.
            section: where such names come from.
            among: those that there are.
            what: they are.
            beside: the file beside the config in which users may define one of this name.
        """
        if name in among:
            return True
        if not any(fnmatch.fnmatchcase(name, pattern) for pattern in self._aside.get(section, [])):
            close = difflib.get_close_matches(name, among, n=1)
            add = f"add {beside} beside the config" if beside else "add it"
            hint = f"did you mean {close[0]}?" if close else f"{add} or choose from: {', '.join(among) or 'none'}"
            self.add(key, f"no {what} '{name}'; {hint}" + (f" (else {add})" if close and beside else ""))
        return False


def parse(raw: Any, errors: Errors) -> Config:
    """The experiment as far as its types are right; what is not is noted and set aside."""
    others: list[tuple[Path, Any]] = []
    raw = json.loads(json.dumps(_text_keys(raw, (), others), default=str))
    if not isinstance(raw, dict):
        errors.add("config", "is not a table of keys; see config.yaml for an example")
        raw = {}
    for path, key in others:
        errors.add(".".join(map(str, path)) or "config", f"has a key that is {_shown(key)}; {in_quotes(key)}")
        if len(path) > 1:
            _set_aside(raw, path, errors)
        elif path:
            errors.set_aside(str(path[0]), "*" if isinstance(key, bool) else str(key))
    while True:  # every pass takes something away, down to FALLBACK
        try:
            return Config.model_validate(raw)
        except ValidationError as found:
            per_key = _one_per_key(found, raw)
            for path, mistake in per_key:
                errors.add(".".join(map(str, path)), _words(mistake))
            rest = [path for path, mistake in per_key if not _is_removed(raw, path, mistake)]
            for path in rest:
                _set_aside(raw, path, errors)


def _text_keys(value: Any, path: Path, others: list[tuple[Path, Any]]) -> Any:
    """A value without the keys that YAML read as something else than text; numbers may be labels, but not names."""
    if isinstance(value, list):
        return [_text_keys(item, (*path, index), others) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    are_names = len(path) == 1 and path[0] in ENTRIES
    found = {}
    for key, item in value.items():
        if isinstance(key, str) or (type(key) in (int, float) and not are_names):
            found[str(key)] = _text_keys(item, (*path, key), others)
        else:
            others.append((path, key))
    return found


def typed(adapter: TypeAdapter[Any], raw: dict[str, Any], at: str, errors: Errors, tagged: bool = False) -> Any:
    """A value of a type, without its unknown keys; None where something else is wrong with it."""
    raw = copy.deepcopy(raw)
    while True:
        try:
            return adapter.validate_python(raw)
        except ValidationError as found:
            per_key = _one_per_key(found, raw, tag=0 if tagged else None)
            for path, mistake in per_key:
                errors.add(".".join(map(str, (at, *path))), _words(mistake))
            if not all(_is_removed(raw, path, mistake) for path, mistake in per_key):
                return None


def _one_per_key(found: ValidationError, raw: Any, tag: int | None = None) -> list[tuple[Path, Any]]:
    """One mistake per key, with its path; of the branches of a union those that got furthest."""
    by_path: dict[Path, Any] = {}
    for mistake in found.errors():
        place = list(mistake["loc"])
        at = 2 if tag is None and place[0] in TAGGED else tag
        if at is not None:
            del place[at : at + 1]
        by_path.setdefault(_path(place, raw, mistake["type"]), mistake)
    return [
        (path, mistake)
        for path, mistake in by_path.items()
        if not any(other[: len(path)] == path != other for other in by_path)
    ]


def _path(place: list[str | int], raw: Any, kind: str) -> Path:
    """The keys of the file in a mistake's location, without the names of types in between."""
    path: list[str | int] = []
    for index, part in enumerate(place):
        is_key = isinstance(raw, dict) and part in raw
        is_item = isinstance(raw, list) and isinstance(part, int)
        if is_key or is_item:
            path.append(part)
            raw = raw[part]
        elif kind == "missing" and index == len(place) - 1:
            path.append(part)
    return tuple(path)


def _is_removed(raw: Any, path: Path, mistake: Any) -> bool:
    """Take out a key that is not known; the rest of its entry may be right."""
    if mistake["type"] != "extra_forbidden":
        return False
    for part in path[:-1]:
        raw = raw[part]
    del raw[path[-1]]
    return True


def _set_aside(raw: dict[str, Any], path: Path, errors: Errors) -> None:
    section = str(path[0])
    entries = raw.get(section)
    if section in ENTRIES and isinstance(entries, dict) and len(path) > 1:
        entries.pop(path[1], None)
        errors.set_aside(section, str(path[1]))
        return
    errors.set_aside(section)
    raw.pop(section, None)
    if section in FALLBACK:
        raw[section] = copy.deepcopy(FALLBACK[section])


def in_quotes(value: Any) -> str:
    """What to do about a value that is no text where text is due."""
    read_so = f"{_read_so(value)}: " if isinstance(value, bool) else ""
    return f"{read_so}put it in quotes if it is a name"


def _read_so(value: bool) -> str:
    return f"YAML reads {'yes and on' if value else 'no and off'} so"


def _shown(value: Any) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."


def _words(mistake: Any) -> str:
    message, context, value = mistake["msg"], mistake.get("ctx", {}), mistake["input"]
    match mistake["type"]:
        case "extra_forbidden":
            return "unknown key; remove it or fix its spelling (the keys are in config.schema.json)"
        case "missing":
            return "is missing; add it"
        case "value_error":
            return str(context["error"])
        case "string_pattern_mismatch":
            return (
                f"names are of letters, digits and . _ + - alone, and begin with a letter or digit, not {_shown(value)}"
            )
        case "union_tag_invalid":
            return f"no {context['discriminator']} '{context['tag']}'; choose from {context['expected_tags']}"
        case "union_tag_not_found":
            return f"{context['discriminator']} is missing; add it"
        case _:
            wrong = f"{message[0].lower()}{message[1:]}, not {_shown(value)}"
            if mistake["type"] == "bool_for_number":
                return f"{wrong}; {_read_so(value)}"
            may_be_name = isinstance(
                value, {"string_type": int | float, "literal_error": bool}.get(mistake["type"], ())
            )
            return f"{wrong}; {in_quotes(value)}" if may_be_name else wrong
