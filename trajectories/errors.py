"""Errors of the dataset layer: each is one line that names the file and the remedy."""

from __future__ import annotations

import errno
import os

from trajectories.backoff import may_pass, status_of


class DatasetError(ValueError):
    """A dataset cannot be created, opened, read or written as asked."""


class StorageError(DatasetError):
    """The disk or the object store refused: full, read-only, unreachable.

    reason: the message without the file. passing: whether the same may succeed later.
    """

    def __init__(self, message: str, reason: str = "", passing: bool = False) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.passing = passing


class LeaseError(DatasetError):
    """Another run writes to the dataset, or has taken it over."""


class QueryError(DatasetError):
    """A SQL query is wrong or failed while it ran."""


def refused(action: str, path: str, error: BaseException) -> StorageError:
    """The error to raise when storage did not do as asked: what, where, and the remedy."""
    number = getattr(error, "errno", None)
    if number in (errno.ENOSPC, errno.EDQUOT):
        return StorageError(
            f"cannot {action} {path}: the disk is full; free some space and run again, "
            "what is committed is kept"
        )
    if number in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StorageError(
            f"cannot {action} {path}: {os.strerror(number)}; check the folder's permissions"
        )
    if number in (errno.ENOTDIR, errno.EEXIST):
        return StorageError(
            f"cannot {action} {path}: a file stands where one of its folders should be; "
            "choose another name"
        )
    if "://" in path:
        reason = _of_a_store(action, path, error)
    else:
        said = os.strerror(number) if isinstance(number, int) else one_line(error)
        reason = f"{said}; check the storage and run again"
    return StorageError(f"cannot {action} {path}: {reason}", reason, may_pass(error))


def _of_a_store(action: str, url: str, error: BaseException) -> str:
    """Why an object store refused, and what helps."""
    protocol, _, rest = url.partition("://")
    bucket = f"{protocol}://{rest.partition('/')[0]}"
    google = protocol in ("gs", "gcs")
    status = status_of(error)
    package = type(error).__module__.partition(".")[0]
    # gcsfs puts an address of Google's interface before what Google says.
    text = str(error)
    said = " ".join((text.partition("\n")[2] or text).split()) if status == 403 else one_line(error)
    if isinstance(error, TimeoutError) and not text:
        said = "no answer in time"
    if status is not None and str(status) not in said:
        said = f"{status}: {said}"
    if status == 401 or (package == "google" and not may_pass(error)):
        how = "log in with `gcloud auth application-default login`" if google else "log in"
        return f"the store does not know who is asking ({said}); {how}, or use a service account"
    if status == 403:
        role = "objectViewer" if action == "read" else "objectUser"
        needs = f"the role roles/storage.{role}" if google else f"the right to {action} there"
        return f"access denied ({said}); give the account {needs} on {bucket}"
    if isinstance(error, FileNotFoundError) and action != "remove":
        return f"there is no bucket {bucket}, or it is not ours to see; create it or correct it"
    if may_pass(error):
        return f"the store did not answer as it should, several times ({said}); run again later"
    return f"{said}; check the storage and run again"


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, or its class."""
    return " ".join(str(error).split()) or type(error).__name__
