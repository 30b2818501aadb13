"""An object store in S3, or whatever speaks its protocol, through boto3."""

import io
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
from boto3.s3.transfer import TransferConfig
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from s3transfer.utils import ReadFileChunk

from synthdata.errors import MissingObjectError, StoreError
from synthdata.storage.codes import GONE, NO_BUCKET, code_sentence
from synthdata.storage.disk import on_disk
from synthdata.storage.protocol import Content

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

MULTIPART_BYTES = 64 << 20  # larger objects go up in parts of this size
PARTS = 3  # that go up at once
CONFLICT_TRIES = 5
RANGE_BYTES = 1 << 20  # least that one ranged read fetches
STREAM_TRIES = 5  # to go on with one download without a byte that came
STYLE: dict[str, Any] = {"addressing_style": "path"}
UNHASHED = {"payload_signing_enabled": False}  # of files: who writes one reads it back and compares it


class S3Store:
    """Objects below one prefix of one bucket."""

    def __init__(self, *, bucket: str, prefix: str = "", anonymous: bool | None = None) -> None:
        """Open a prefix.

        Args:
            bucket: Name of the bucket.
            prefix: Of the keys, without the last slash.
            anonymous: Ask without a signature; None: where there are no credentials.

        Raises:
            StoreError: The variables that name the server or the credentials cannot be used.
        """
        self.bucket, self.prefix = bucket, f"{prefix}/" if prefix else ""
        self._anew = partial(S3Store, bucket=bucket, prefix=prefix, anonymous=anonymous)
        config = Config(
            s3=STYLE,
            retries={"max_attempts": 8, "mode": "standard"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        try:
            if anonymous or (anonymous is None and boto3.Session().get_credentials() is None):
                config = config.merge(Config(signature_version=UNSIGNED))
            self._client = boto3.client("s3", config=config)
            self._bulk = boto3.client("s3", config=config.merge(Config(s3=STYLE | UNHASHED)))
        except (BotoCoreError, ValueError) as error:
            raise StoreError(
                f"S3 could not be opened ({type(error).__name__}), expected an address and credentials in the "
                "AWS_* variables: check AWS_ENDPOINT_URL"
            ) from error

    def __reduce__(self) -> tuple[partial["S3Store"], tuple[()]]:
        """Another process opens a client of its own."""
        return self._anew, ()

    @property
    def url(self) -> str:
        """Address of the prefix."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")

    def presigned(self, key: str, *, seconds: int = 3600) -> str:
        """Address by which anybody can read one object for a while; made without asking the server."""
        names = {"Bucket": self.bucket, "Key": self.prefix + key}
        link: str = self._client.generate_presigned_url("get_object", Params=names, ExpiresIn=seconds)
        return link

    def read(self, key: str) -> bytes:
        """Whole object in one request."""
        return self._ask(key, lambda: self._get(key))

    def open(self, key: str) -> io.BufferedReader:
        """Reader by ranged requests."""
        size = self.size(key)
        if size is None:
            raise MissingObjectError.of(self.url, key)
        return io.BufferedReader(_RangedReader(self, key, size), RANGE_BYTES)

    def chunks(self, key: str) -> Iterator[bytes]:
        """Pieces of one download, which goes on where the server broke it off."""
        at, tries = 0, 0
        while True:
            options = {"Range": f"bytes={at}-"} if at else {}
            body = self._ask(key, partial(self._body, key, **options))
            try:
                for chunk in body.iter_chunks(RANGE_BYTES):
                    at, tries = at + len(chunk), 0
                    yield chunk
            except (BotoCoreError, OSError) as error:
                tries += 1
                if tries == STREAM_TRIES:
                    raise StoreError(_sentence(key, error)) from error
            else:
                return

    def read_range(self, key: str, start: int, length: int) -> bytes:
        """Bytes [start, start + length) of an object."""
        return self._ask(key, lambda: self._get(key, Range=f"bytes={start}-{start + length - 1}"))

    def size(self, key: str) -> int | None:
        """Size in bytes by a HEAD request."""
        try:
            head = self._ask(key, lambda: self._client.head_object(Bucket=self.bucket, Key=self.prefix + key))
        except MissingObjectError:
            return None
        return int(head["ContentLength"])

    def write(self, key: str, data: Content) -> None:
        """Put an object; S3 shows it whole or not at all."""
        if isinstance(data, Path):
            transfer = TransferConfig(
                multipart_threshold=MULTIPART_BYTES, multipart_chunksize=MULTIPART_BYTES
            )
            self._ask(
                key,
                lambda: self._bulk.upload_file(str(data), self.bucket, self.prefix + key, Config=transfer),
            )
        else:
            self._ask(
                key,
                lambda: self._client.put_object(Bucket=self.bucket, Key=self.prefix + key, Body=bytes(data)),
            )

    def create(self, key: str, data: Content) -> bool:
        """Put with `If-None-Match: *`; the store answers 412 where the key is taken."""
        if isinstance(data, memoryview):
            return self._create_from_memory(key, data)
        large = isinstance(data, Path) and data.stat().st_size > MULTIPART_BYTES
        for attempt in range(CONFLICT_TRIES):
            try:
                if large:
                    return self.size(key) is None and self._create_in_parts(key, Path(str(data)))
                self._create_at_once(key, data)
            except ClientError as error:
                status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
                if status == 412:
                    return False
                if status != 409 or attempt == CONFLICT_TRIES - 1:  # 409: another writer is at it just now
                    raise StoreError(_sentence(key, error)) from error
                time.sleep(0.2 * 2**attempt)
            except (BotoCoreError, OSError) as error:
                raise StoreError(_sentence(key, error)) from error
            else:
                return True
        return False

    def _create_from_memory(self, key: str, data: memoryview) -> bool:
        """By way of a file, of which parts are sent at once and again."""
        with (
            on_disk("the temporary folder (TMPDIR)"),
            tempfile.NamedTemporaryFile(prefix="synthdata-") as file,
        ):
            file.write(data)
            file.flush()
            return self.create(key, Path(file.name))

    def _create_at_once(self, key: str, data: bytes | Path) -> None:
        names = {"Bucket": self.bucket, "Key": self.prefix + key, "IfNoneMatch": "*"}
        if isinstance(data, bytes):
            self._client.put_object(**names, Body=data)
            return
        with data.open("rb") as reader:  # passed on as it is: a file in memory costs more than its sending
            self._bulk.put_object(**names, Body=reader)

    def _create_in_parts(self, key: str, path: Path) -> bool:
        """Upload parts at once and complete them where there is no such object. Leaves no parts behind."""
        names = {"Bucket": self.bucket, "Key": self.prefix + key}
        upload: str = self._client.create_multipart_upload(**names)["UploadId"]
        starts = range(0, path.stat().st_size, MULTIPART_BYTES)

        def put(number: int, start: int) -> dict[str, Any]:
            with ReadFileChunk.from_filename(str(path), start, MULTIPART_BYTES) as body:
                answer = self._bulk.upload_part(**names, UploadId=upload, PartNumber=number, Body=body)
            return {"PartNumber": number, "ETag": answer["ETag"]}

        try:
            with ThreadPoolExecutor(PARTS) as pool:
                parts = list(pool.map(put, range(1, len(starts) + 1), starts))
            self._client.complete_multipart_upload(
                **names, UploadId=upload, MultipartUpload={"Parts": parts}, IfNoneMatch="*"
            )
        except BaseException:
            self._client.abort_multipart_upload(**names, UploadId=upload)
            raise
        return True

    def keys(self, prefix: str) -> Iterator[str]:
        """Keys by pages of a thousand."""
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix + prefix):
                for item in page.get("Contents", []):
                    yield item["Key"].removeprefix(self.prefix)
        except (ClientError, BotoCoreError) as error:
            raise StoreError(_sentence(prefix, error)) from error

    def listing(self, what: str) -> Iterator[tuple[str, int, str]]:
        """Key, size in bytes and version (ETag) of all objects, by pages.

        Args:
            what: Stands for the keys in messages, since a key of scans may hold a name.
        """
        pages = self._client.get_paginator("list_objects_v2")
        try:
            for page in pages.paginate(Bucket=self.bucket, Prefix=self.prefix):
                for item in page.get("Contents", []):
                    yield (
                        item["Key"].removeprefix(self.prefix),
                        int(item["Size"]),
                        str(item["ETag"]).strip('"'),
                    )
        except (ClientError, BotoCoreError) as error:
            raise StoreError(_sentence(what, error)) from error

    def stream(self, key: str, version: str, what: str) -> Iterator[bytes]:
        """Bytes of one version of an object. Raises StoreError; MissingObjectError where it is gone or another."""
        whole = {"Bucket": self.bucket, "Key": self.prefix + key, "IfMatch": f'"{version}"'}
        try:
            body = self._client.get_object(**whole)["Body"]
            yield from body.iter_chunks(RANGE_BYTES)
        except (ClientError, BotoCoreError, OSError) as error:
            kind = MissingObjectError if _code(error) in GONE else StoreError
            raise kind(_sentence(what, error)) from error

    def delete(self, key: str) -> None:
        """Delete an object."""
        self._ask(key, lambda: self._client.delete_object(Bucket=self.bucket, Key=self.prefix + key))

    def _get(self, key: str, **options: str) -> bytes:
        """Bytes of one answer; asked for anew where it breaks off, since the object may be another one by then."""
        for _ in range(STREAM_TRIES - 1):
            with suppress(BotoCoreError, OSError):
                return bytes(self._body(key, **options).read())
        return bytes(self._body(key, **options).read())

    def _body(self, key: str, **options: str) -> Any:
        return self._client.get_object(Bucket=self.bucket, Key=self.prefix + key, **options)["Body"]

    def _ask(self, key: str, request: "Callable[[], T]") -> T:
        try:
            return request()
        except ClientError as error:
            status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
            if status == 404 and _code(error) != NO_BUCKET:
                raise MissingObjectError.of(self.url, key) from None
            raise StoreError(_sentence(key, error)) from error
        except MissingObjectError:
            raise
        except Exception as error:
            # boto3's transfer layer raises classes which share no base with the client's
            raise StoreError(_sentence(key, error)) from error


class _RangedReader(io.RawIOBase):
    """Raw reader of one object by ranged requests."""

    def __init__(self, store: S3Store, key: str, size: int) -> None:
        self._store, self._key, self._size, self._at = store, key, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        length = min(len(buffer), self._size - self._at)
        if length <= 0:
            return 0
        data = self._store.read_range(self._key, self._at, length)
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _code(error: Exception) -> str:
    """Code of the store's answer; the error's name where the store did not answer."""
    answer = (
        error if isinstance(error, ClientError) else error.__context__
    )  # boto3's transfer layer wraps answers
    if isinstance(answer, ClientError):
        return str(answer.response.get("Error", {}).get("Code", ""))
    return type(error).__name__


def _sentence(key: str, error: Exception) -> str:
    """What came, what was expected and what to do; an answer's own text is left out, as it may hold a key."""
    return code_sentence(key, _code(error))
