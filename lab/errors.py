"""Errors that a user of the lab is meant to read.

The command line prints the message and the remedy and exits non-zero; a traceback of
a ``LabError`` is never shown. Anything else that escapes is a bug of ours.
"""


class LabError(Exception):
    """Something that the user can understand and mend.

    Args:
        message: what is wrong and where (file, line and field when a file is at fault).
        remedy: what to do next; empty when the message already says it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message
