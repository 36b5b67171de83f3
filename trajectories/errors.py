"""Errors of the dataset layer: each is one line that names the file and the remedy."""

from __future__ import annotations

import errno
import os


class DatasetError(ValueError):
    """A dataset cannot be created, opened, read or written as asked."""


class StorageError(DatasetError):
    """The disk or the object store refused: full, read-only, unreachable."""


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
    reason = os.strerror(number) if isinstance(number, int) else one_line(error)
    return StorageError(f"cannot {action} {path}: {reason}; check the storage and run again")


def one_line(error: BaseException) -> str:
    """The message of an error without line breaks, or its class."""
    return " ".join(str(error).split()) or type(error).__name__
