"""A repository of the Hugging Face Hub at one commit, on disk; and the one switch against it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from xharness.errors import DataError, MissingData, XharnessError

_PAGES = {"model": "", "dataset": "datasets/"}
_NAMES = {"model": "model", "dataset": "data set"}


def go_offline() -> None:
    """No network from here on: set before the libraries are imported, since they look once."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["HF_DATASETS_OFFLINE"] = "1"


def is_offline() -> bool:
    """Whether `--offline` or `$HF_HUB_OFFLINE` forbids the network."""
    return os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE")


def snapshot(
    kind: Literal["model", "dataset"],
    repo: str,
    revision: str | None,
    files: Iterable[str],
    *,
    download: bool = True,
) -> Path:
    """The folder with those files of a repository that match the patterns `files`; it is named
    as the commit. `revision` is a commit, tag or branch, None the main branch; without `download`
    only the local cache is looked at.

    Raises MissingData when the network is forbidden and the local cache lacks a file, DataError
    when the Hub has no such repository or revision or does not give it, XharnessError when the
    Hub can't be reached.
    """
    from huggingface_hub import constants, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    name = f"{_NAMES[kind]} {repo!r}" + (f" at revision {revision!r}" if revision else "")
    page = f"{constants.ENDPOINT}/{_PAGES[kind]}{repo}"
    try:
        folder = snapshot_download(
            repo,
            repo_type=kind,
            revision=revision,
            allow_patterns=list(files),
            local_files_only=is_offline() or not download,
        )
    except HFValidationError as error:
        raise DataError(f"{repo!r} is no id of the Hugging Face Hub, as 'owner/name' is") from error
    except GatedRepoError as error:
        raise DataError(
            f"{name} is gated: accept its terms at {page} and log in with 'hf auth login'"
        ) from error
    except RepositoryNotFoundError as error:
        raise DataError(
            f"no {name} on the Hugging Face Hub, or it is private and you are not logged in "
            "('hf auth login')"
        ) from error
    except RevisionNotFoundError as error:
        raise DataError(f"no {name}: its commits are listed at {page}/commits/main") from error
    except LocalEntryNotFoundError as error:
        if not download:
            raise MissingData(f"{name} is not in the local cache") from error
        if is_offline():
            raise MissingData(
                f"{name} is not, or not whole, in the local cache {constants.HF_HUB_CACHE}, and "
                "the network is forbidden by --offline or $HF_HUB_OFFLINE. Run once without it."
            ) from error
        raise XharnessError(
            f"{constants.ENDPOINT} can't be reached, and {name} is not in the local cache "
            f"{constants.HF_HUB_CACHE}. With --offline only what is cached is used."
        ) from error
    except (HfHubHTTPError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise XharnessError(f"{name} could not be fetched from {page}: {reason}") from error
    return Path(folder)
