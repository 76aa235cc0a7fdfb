"""What keeps the journal from being written, and what to do about it."""

from nbp_async._base.errors import JournalError

_HINTS = {  # by what SQLite says
    "full": "Free space on that disk, then run again: nothing that is stored is bought twice.",
    "disk I/O": "Look at that disk (space, quota, health), then run again: nothing that is stored "
    "is bought twice.",
    "readonly": "Its folder is read-only: change that, then run again.",
    "locked": "Something else holds it open for writing: close that, then run again.",
}


def write_error(cause: Exception) -> JournalError:
    """The error for the caller whose operation was not written because of `cause`."""
    reason = str(cause)
    hint = next((hint for words, hint in _HINTS.items() if words in reason), "")
    error = JournalError(
        f"The run's journal cannot be written: {reason}. Nothing more is sent.", hint=hint
    )
    error.__cause__ = cause
    return error
