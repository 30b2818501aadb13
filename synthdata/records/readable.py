"""What libraries have against a file that should be one of a release, as a sentence."""

from collections.abc import Iterator
from contextlib import contextmanager

from synthdata.errors import RecordError, StoreError, SynthDataError
from synthdata.storage.disk import disk_sentence

BROKEN = (OSError, MemoryError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@contextmanager
def readable(name: str, kind: str, *others: type[Exception]) -> Iterator[None]:
    """Turn the errors of parsers, and of what they find in broken bytes, into one of ours.

    Args:
        name: Of the file.
        kind: What it should be, such as `a Parquet file`.
        others: Errors of a library which have no base among those of Python.

    Raises:
        RecordError: The bytes are not of that kind.
        StoreError: The file is not there, or the disk fails.
    """
    try:
        yield
    except SynthDataError:
        raise
    except FileNotFoundError as error:
        raise StoreError(f"file {name} is not there, expected {kind}: pull the release again") from error
    except BROKEN + others as error:
        if isinstance(error, OSError) and error.errno:
            raise StoreError(disk_sentence(f"file {name}", error, "read")) from error
        raise RecordError(
            f"file {name} cannot be read ({type(error).__name__}), expected {kind} as a release has them: it was "
            "changed or cut after it was pulled, or broken before it was signed; ask `synthdata check`, and pull it "
            "again"
        ) from error
