"""Models of the Hugging Face hub, as they lie in the folder that its libraries share."""

from __future__ import annotations

from collections.abc import Callable

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

from victor_dsl.errors import ComponentError


def folder_of(name: str, download: Callable[[], object] | None) -> str:
    """The folder of a model that is here already, or is once `download` was called. Raises ComponentError."""
    try:
        return _local(name)
    except HFValidationError as error:
        raise ComponentError(f"'{name}' is no model's name", hint="a folder is written as `path`") from error
    except LocalEntryNotFoundError as error:
        if download is None:
            hint = "write `download: true`, or the folder of a copy as `path`"
            raise ComponentError(f"the model {name} is not on this machine", hint=hint) from error
    download()
    return _local(name)


def _local(name: str) -> str:
    return snapshot_download(name, local_files_only=True)
