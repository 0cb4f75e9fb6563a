"""What is fetched from the hub, or read from a folder of the same layout: models, translators, datasets.

Every failure is one line that says what to do.  The token comes from HF_TOKEN alone, never from a file; HF_HUB_OFFLINE
is respected.  A revision is fetched once into the hub's own cache (HF_HOME) and found there again without a network.
"""

import os
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import yaml

from workflow_scripts.base.errors import UserError

Kind = Literal["model", "dataset"]
DATA = ("*.parquet", "*.jsonl", "*.json", "*.csv")  # of a dataset whose card does not name its files


def folder(name: str, revision: str | None, patterns: Iterable[str], kind: Kind = "model") -> Path:
    """The folder of a model or dataset: a local one, or a snapshot of the hub's in its cache.

    Args:
        name: path of a folder, or a hub id.
        revision: of the hub's repository.
        patterns: of the files that are needed.
        kind: of the hub's repository.

    Raises:
        UserError: it is neither, or is not to be had.
    """
    if Path(name).is_dir():
        return Path(name)
    if revision is None:
        raise UserError(f"{name}: no such folder, and no `revision` to fetch it from the hub; pin one")
    return _snapshot(name, revision, list(patterns), kind)


def is_cached(name: str, revision: str | None, patterns: Iterable[str], kind: Kind = "model") -> bool:
    """Whether a model or dataset can be used without a network."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if Path(name).is_dir():
        return True
    try:
        snapshot_download(
            name, repo_type=kind, revision=revision, allow_patterns=list(patterns), token=False, local_files_only=True
        )
    except (LocalEntryNotFoundError, HFValidationError):
        return False
    return True


def rows(name: str, revision: str | None, config: str | None, split: str) -> pa.Table:
    """One split of one config of a dataset, read by `datasets` as its card says; only its files are fetched.

    Raises:
        UserError: the dataset is not to be had, has no such config or split, or its files cannot be read.
    """
    place = folder(name, revision, ["README.md"], "dataset")
    configs = _configs(place)
    files = None
    if configs:
        known = configs.get(config or "default", {} if config else next(iter(configs.values())))
        if not known:
            raise UserError(
                f"{name}: has no config '{config}' (it has {', '.join(configs)}); fix `revision` or `format`"
            )
        if split not in known:
            where = f"config '{config}'" if config else "the dataset"
            raise UserError(
                f"{name}: {where} has no split '{split}' (it has {', '.join(known)}); fix `revision` or `format`"
            )
        files = {split: known[split]}
    place = folder(name, revision, ["README.md", *(files[split] if files else DATA)], "dataset")
    return _read(name, place, files, split)


def _read(name: str, place: Path, files: dict[str, list[str]] | None, split: str) -> pa.Table:
    import datasets

    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:  # its Arrow copy is of no use once the rows are in memory
        try:
            read = datasets.load_dataset(
                str(place),
                data_files=files,
                split=split,
                cache_dir=scratch,
                keep_in_memory=True,
                verification_mode="no_checks",
            )
        except ValueError as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"{name}: split '{split}': {reason}; fix `revision` or `format`, or the files") from None
        except FileNotFoundError as error:
            raise UserError(f"{name}: {' '.join(str(error).split())}; fix the folder, or fetch it again") from None
        except datasets.exceptions.DatasetsError as error:
            cause = error.__cause__ or error
            raise UserError(
                f"{name}: split '{split}' cannot be read ({' '.join(str(cause).split())[:200]}); fix the files"
            ) from None
        table: pa.Table = read.data.table.combine_chunks()
    return table.replace_schema_metadata(None)


def _configs(place: Path) -> dict[str, dict[str, list[str]]]:
    """What a dataset's card says of its files: config -> split -> patterns; nothing where it says nothing."""
    card = place / "README.md"
    text = card.read_text(encoding="utf-8") if card.is_file() else ""
    if not text.startswith("---"):
        return {}
    try:
        listed: Any = (yaml.safe_load(text.split("---", 2)[1]) or {}).get("configs") or []
        return {config["config_name"]: _splits(config["data_files"]) for config in listed}
    except (yaml.YAMLError, AttributeError, KeyError, TypeError):
        raise UserError(f"{card}: its `configs` cannot be read; fix them") from None


def _splits(files: Any) -> dict[str, list[str]]:
    """The patterns of each split, in the forms that a card may have them."""
    if isinstance(files, str):
        return {"train": [files]}
    found: dict[str, list[str]] = {}
    for item in files:
        split, path = ("train", item) if isinstance(item, str) else (item["split"], item["path"])
        found.setdefault(split, []).extend([path] if isinstance(path, str) else path)
    return found


def _snapshot(name: str, revision: str, patterns: list[str], kind: Kind) -> Path:
    import httpx
    from huggingface_hub import errors, snapshot_download

    options = f"--repo-type {kind} --revision {revision}"
    try:
        # False: no token, and none from a file either.
        token = os.environ.get("HF_TOKEN") or False
        return Path(snapshot_download(name, repo_type=kind, revision=revision, allow_patterns=patterns, token=token))
    except errors.GatedRepoError:
        how = "with the account of HF_TOKEN" if os.environ.get("HF_TOKEN") else "and set HF_TOKEN"
        raise UserError(f"{name}: is gated; accept its terms on the hub {how}") from None
    except errors.RepositoryNotFoundError:
        what = f"no such folder, and no {kind} of that id on the hub, or a private one"
        raise UserError(f"{name}: {what}; fix the id, or set HF_TOKEN") from None
    except errors.RevisionNotFoundError:
        raise UserError(f"{name}: has no revision {revision}; pin one that exists") from None
    except errors.HFValidationError:
        raise UserError(f"{name}: no such folder, and no id of the hub; fix the path") from None
    except (errors.LocalEntryNotFoundError, errors.OfflineModeIsEnabled):
        raise UserError(
            f"{name}: is not in the hub's cache and the hub cannot be reached; "
            f"fetch it where there is a network: hf download {name} {options}"
        ) from None
    except httpx.HTTPError as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"{name}: cannot be fetched ({reason}); run again, "
            f"or fetch it where there is a network: hf download {name} {options}"
        ) from None
