"""The file of an experiment as YAML: what it says, or what is wrong with it, by line."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from workflow_scripts.base.errors import UserError


def read(path: Path) -> dict[str, Any]:
    """The keys and values of a YAML file.

    Raises:
        UserError: there is no such file, it is not YAML in UTF-8, it is no table of keys, or has a key twice in one
            table, of which YAML would silently take the last; all such keys at once, a line each.
    """
    try:
        content = path.read_bytes()
        loader = yaml.SafeLoader(content.decode())
        document = loader.get_single_node()
        twice = [f"{path}: {line}" for line in _twice(document, loader, set())]
        found = None if document is None or twice else loader.construct_document(document)
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
    except (yaml.YAMLError, ValueError) as error:  # characters that YAML has not; a date that is none
        raise UserError(f"{path}: not YAML ({' '.join(str(error).split())}); fix it") from None
    if twice:
        raise UserError("\n".join(twice))
    if not isinstance(found, dict):
        raise UserError(f"{path}: is not a table of keys; see config.yaml for an example")
    return found


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
