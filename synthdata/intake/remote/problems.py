"""What may go wrong with a server of scans: for good, for now, or because something is not there."""

from typing import Self

from synthdata.errors import SourceError

EMPTY = "the server holds no scan that the address asks for, expected some: check the address, or wait for the transfer"
BAD_ADDRESS = "the address of the DICOMweb server is none, expected https://host/path: mend it"
CUT = (
    "an answer of the DICOMweb server was cut, expected it whole: check the network and the server, and run it "
    "again, it goes on where it was"
)
NO_BOUNDARY = (
    "an answer of the DICOMweb server does not hold the boundary that its Content-Type names, expected "
    "multipart/related: see the server's log and the proxies before it, and run it again, it goes on where it was"
)
FEWER = (
    "the DICOMweb server lists fewer instances of a study than it says it has, expected all: see whether the study is "
    "still coming in, and run it again, it goes on where it was"
)
TWO_OF_ONE = (
    "the DICOMweb server sent two different files of one SOP Instance UID, expected one: mend the study in "
    "the archive, and run it again"
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


class BusyError(SourceError):
    """The server wants to be asked later than anybody would wait; not to ask at all is what it asked for."""


class NotThereError(SourceError):
    """The server has no such thing."""


class StudyError(SourceError):
    """One study cannot be had as it is; others may be well."""


class LaterError(SourceError):
    """What may go well at another try; `wait_s` is what the server asked for."""

    wait_s: float | None = None

    @classmethod
    def of(cls, sentence: str, wait_s: float | None = None) -> Self:
        """With the time to wait."""
        error = cls(sentence)
        error.wait_s = wait_s
        return error
