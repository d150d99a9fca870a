"""Models to and from the Hugging Face Hub."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sklearn.utils.validation import check_is_fitted

from ceiba.errors import HubError, InputError, MissingExtraError
from ceiba.models.model_card import model_card
from ceiba.models.saving import load, save

if TYPE_CHECKING:
    from ceiba.models.classifier import PartitionedClassifier

_POINTER, _GENERATIONS, _CARD = "current.json", "model-*/*", "README.md"
_ENDPOINT = "HF_ENDPOINT"
_CLIENTS = ("huggingface_hub", "httpx", "httpx2", "httpcore", "requests")


def push_to_hub(
    model: PartitionedClassifier,
    repo_id: str,
    *,
    data: str | None,
    figures: Mapping[str, float] | None,
    language: str | Sequence[str] | None,
    license: str | None,
    include_training_texts: bool | None,
    private: bool | None,
    revision: str | None,
    commit_message: str,
    token: str | bool | None,
) -> str:
    """Upload a fitted model; see `PartitionedClassifier.push_to_hub`."""
    check_is_fitted(model)
    if model.has_training_texts and include_training_texts is None:
        raise InputError(
            "The model keeps its training texts, which everybody who may read the repository could read. Give "
            "include_training_texts=True to publish them, or False to leave them out."
        )
    _check_repo_id(repo_id)
    api = _api(token)
    kept = bool(model.has_training_texts and include_training_texts)
    if model.has_training_texts and not kept:
        model = _without_training_texts(model)
    card = model_card(
        model, repo_id, data=data, figures=figures, language=language, license=license, training_texts=kept
    )
    with tempfile.TemporaryDirectory(prefix="ceiba-") as temporary:
        folder = Path(temporary, "model")
        save(model, folder)
        (folder / _CARD).write_text(card, encoding="utf-8")
        with _hub_errors(repo_id):
            api.create_repo(repo_id, private=private, exist_ok=True)
            if revision is not None:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
            done = api.upload_folder(
                repo_id=repo_id,
                folder_path=folder,
                revision=revision,
                commit_message=commit_message,
                allow_patterns=[_CARD, _POINTER, _GENERATIONS],
                delete_patterns=[_POINTER, _GENERATIONS],
            )
    return str(done.commit_url)


def from_pretrained(
    repo_id: str,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
    trusted: Sequence[str | type] = (),
    mmap: bool = True,
    verify: bool = True,
) -> Any:
    """Load a model from the Hugging Face Hub.

    Files are kept in the Hub's cache, so a second call fetches only what has changed. Needs the extra ``ceiba[hub]``.

    Parameters
    ----------
    repo_id : str
        Owner and name of the repository, such as "user/name".
    revision : str, default=None
        A branch, a tag or a commit. None: the newest of the main branch. Name a commit where answers must stay as they
        are.
    cache_dir : str or Path, default=None
        Where files are kept. None: the Hub's own cache.
    local_files_only : bool, default=False
        Use the cache without asking the Hub.
    token : str, bool or None, default=None
        The token of a private repository. None: that of ``hf auth login`` or of the environment variable HF_TOKEN.
    trusted, mmap, verify
        As in `ceiba.load`. By default every file is compared with the checksum in the model's manifest.

    Returns
    -------
    HybridClassifier, XRLinear, XRTransformer or XTransformer
        The fitted model. Nothing in it is pickled.

    Raises
    ------
    HubError
        When the Hub cannot be reached, or has no such repository or revision.
    ModelFormatError
        When the repository holds no model of Ceiba, or a file is damaged.
    MissingExtraError
        When huggingface_hub is not installed.

    Examples
    --------
    ::

        model = ceiba.from_pretrained("user/subjects", revision="v1")
        labels, scores = model.predict_topk(["a text"], k=5)
    """
    _check_repo_id(repo_id)
    api = _api(token)
    with _hub_errors(repo_id):
        folder = api.snapshot_download(
            repo_id,
            revision=revision,
            cache_dir=cache_dir,
            local_files_only=local_files_only,
            allow_patterns=[_POINTER, _GENERATIONS],
        )
    return load(folder, trusted=trusted, mmap=mmap, verify=verify)


def _api(token: str | bool | None) -> Any:
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingExtraError("huggingface_hub", "hub", "The Hugging Face Hub") from None
    # the library reads the variable once, when it is imported
    endpoint = os.environ.get(_ENDPOINT) or None
    return HfApi(endpoint=endpoint, token=token, library_name="ceiba")


def _check_repo_id(repo_id: Any) -> None:
    parts = repo_id.split("/") if isinstance(repo_id, str) else []
    if len(parts) != 2 or not all(parts):
        raise InputError(f"repo_id must be an owner and a name, such as 'user/name'. Got {repo_id!r}.")


@contextmanager
def _hub_errors(repo_id: str) -> Iterator[None]:
    """Let errors of the Hub be one line that says what to do."""
    from huggingface_hub import errors

    try:
        yield
    except errors.HFValidationError as error:
        raise InputError(f"repo_id: {_first_line(error)}") from None
    except errors.GatedRepoError:
        raise HubError(f"{repo_id}: access has to be granted on the Hub first; then give a token.") from None
    except errors.RepositoryNotFoundError:
        raise HubError(
            f"{repo_id}: no such repository on the Hub, or it is private and the token is missing."
        ) from None
    except errors.RevisionNotFoundError:
        raise HubError(f"{repo_id}: there is no such revision.") from None
    except errors.LocalEntryNotFoundError as error:
        raise HubError(f"{repo_id}: is not in the cache, and the Hub was not asked or not reached.") from error
    except Exception as error:
        # releases of the library differ in the HTTP client whose errors they let pass
        if not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in _CLIENTS:
            raise
        raise HubError(f"{repo_id}: the Hub refused or could not be reached: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


def _without_training_texts(model: PartitionedClassifier) -> PartitionedClassifier:
    from copy import copy

    other = copy(model)
    other.model_ = replace(model.model_, training_texts=None)
    return other
