"""How long work tells that it goes on."""

from typing import Protocol


class Progress(Protocol):
    """Called now and then by long work; the caller shows a bar or writes a log line."""

    def __call__(self, done: int, total: int, message: str = "") -> None:
        """Tell that `done` of `total` units are finished; the message never holds patient data."""
        ...


def silent(done: int, total: int, message: str = "") -> None:
    """Progress that nobody watches."""
