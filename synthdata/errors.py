"""Errors of the project: each says what came, what was expected and what to do."""

from typing import Self


class SynthDataError(Exception):
    """Base of our errors; the message never holds patient data."""


class ConfigError(SynthDataError, ValueError):
    """A setting which cannot work."""


class SpecError(ConfigError):
    """A dataset spec which cannot be used; names the file and the line."""


class StoreError(SynthDataError, OSError):
    """An object store which cannot be read or written."""


class TransientError(StoreError):
    """A store which did not answer as it should, and may do so at another try."""


class RefusedError(StoreError):
    """An answer of a store which another try does not change."""

    status = 0  # of HTTP
    code = ""  # of an S3 answer


class MissingObjectError(StoreError, FileNotFoundError):
    """An object which the store does not hold."""

    @classmethod
    def of(cls, store: str, key: str) -> Self:
        """Name the store and the key."""
        return cls(
            f"{store} has no object {key}: materialise the stage which writes it, or check the address"
        )


class IntegrityError(SynthDataError, ValueError):
    """Bytes which are not those that their record names."""

    @classmethod
    def of(cls, what: str, got: str, want: str) -> Self:
        """Name the object and the two digests, shortened."""
        return cls(
            f"{what} has SHA-256 {got[:12]}…, expected {want[:12]}…: "
            "it was changed or cut after it was written; fetch or build it again"
        )


class RecordError(SynthDataError, ValueError):
    """A stored record which cannot be read as the kind that was asked for."""


class ShapeError(SynthDataError, ValueError):
    """Arrays which do not fit together."""


class SourceError(SynthDataError, ValueError):
    """A source of scans which cannot be taken in at all."""


class UnitError(SynthDataError, ValueError):
    """A unit which is not known, or which does not fit another one."""


class WorkerError(SynthDataError, RuntimeError):
    """A process which shared the work and ended too early."""


class TrainingError(SynthDataError, RuntimeError):
    """A training run which cannot go on."""


class GenerationError(SynthDataError, RuntimeError):
    """A generation run which cannot go on."""


class GateError(SynthDataError, RuntimeError):
    """A release which a gate refuses."""


class TrustError(SynthDataError, ValueError):
    """Release data whose signature, version or digest cannot be trusted."""


class MarkError(SynthDataError, ValueError):
    """Data which cannot carry the marks of synthetic data."""


class UnreadableFileError(SynthDataError, ValueError):
    """A file which cannot be read as the image that its name or its first bytes promise."""


class MissingExtraError(SynthDataError, ImportError):
    """A feature whose optional dependencies are not installed."""

    @classmethod
    def of(cls, feature: str, extra: str) -> Self:
        """Name the feature and the extra which brings it."""
        return cls(f"{feature} needs packages which are not installed: pip install 'synthdata[{extra}]'")
