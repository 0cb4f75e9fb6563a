"""The file of an experiment, YAML or JSON: what it says, or what is wrong with it, by line."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.base.errors import UserError


def read(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML or JSON file.

    Raises:
        UserError: there is no such file, it is not YAML in UTF-8, it is no table of keys, contains itself, or has a key
            twice in one table, of which YAML and JSON would silently take the last; all such keys at once, a line each.
    """
    try:
        content = path.read_bytes()
        text = content.decode()
        found, again = _json(text) if text.lstrip().startswith("{") else (None, [])
        if found is None:
            found, again = _yaml(text)
        json.dumps(found, default=str, skipkeys=True)  # which a table that contains itself does not survive
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; name the experiment's config") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); name the experiment's config") from None
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}: line {line} is not UTF-8 (byte {content[error.start]:#04x}); save it as UTF-8"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(filter(None, (error.context, error.problem)))
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise UserError(f"{path}: {place}not YAML ({what}); fix the line") from None
    except (RecursionError, OverflowError):
        raise UserError(f"{path}: an anchor contains itself, or tables are nested too deeply; write them out") from None
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML has not; a date that is none
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())}); fix it") from None
    if again:
        raise UserError("\n".join(f"{path}: {line}" for line in again))
    if not isinstance(found, dict):
        raise UserError(f"{path}: is not a table of keys; see config.yaml for an example")
    return found


def _json(text: str) -> tuple[Any, list[str]]:
    """What a JSON text holds, and a line for every key that a table has again; None where it is no JSON."""
    again: list[str] = []

    def table(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        again.extend(f"key '{name}' stands twice in one table; rename or remove one" for name in _repeated(names))
        return dict(pairs)

    try:
        return json.loads(text, object_pairs_hook=table), again
    except ValueError:
        return None, []  # a flow mapping of YAML, perhaps


def _repeated(names: list[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _yaml(text: str) -> tuple[Any, list[str]]:
    """What a YAML text holds, and a line for every key that a table has again."""
    loader = yaml.SafeLoader(text)
    document = loader.get_single_node()
    again = list(_twice(document, loader, set()))
    return None if document is None or again else loader.construct_document(document), again


def _twice(node: yaml.Node | None, loader: yaml.SafeLoader, seen: set[int]) -> Iterator[str]:
    """A line for every key that a table has again; what an anchor names is looked at once."""
    if node is None or id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                line, name = key.start_mark.line + 1, str(loader.construct_object(key))  # 15 and "15" are one key
                if name in first:
                    yield f"key '{key.value}' in line {first[name]} and again in line {line}; rename or remove one"
                first.setdefault(name, line)
    if not isinstance(node, yaml.ScalarNode):
        for child in node.value:
            for part in child if isinstance(child, tuple) else (child,):
                yield from _twice(part, loader, seen)
