"""What may go wrong with a server of scans: for good, for now, or because something is not there."""

from typing import Self

from synthdata.errors import SourceError

EMPTY = "the server holds no scan that the address asks for, expected some: check the address, or wait for the transfer"
CUT = (
    "an answer of the DICOMweb server was cut, expected it whole: check the network and the server, and run it "
    "again, it goes on where it was"
)
DOWN = (
    "the DICOMweb server cannot be reached, expected it to be up: check the address and the network, and run it "
    "again, it goes on where it was"
)
SLOW = (
    "the DICOMweb server did not answer in time, expected it within SYNTHDATA_DICOMWEB_TIMEOUT seconds: see "
    "whether it is busy, and run it again, it goes on where it was"
)


class RefusedError(SourceError):
    """The server does not know us; to ask again would not help."""


class NotThereError(SourceError):
    """The server has no such thing."""


class LaterError(SourceError):
    """What may go well at another try; `wait_s` is what the server asked for."""

    wait_s: float | None = None

    @classmethod
    def of(cls, sentence: str, wait_s: float | None = None) -> Self:
        """With the time to wait."""
        error = cls(sentence)
        error.wait_s = wait_s
        return error
