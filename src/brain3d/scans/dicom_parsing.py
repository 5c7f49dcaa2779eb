"""Parsing what somebody else wrote with pydicom: within bounds, without a word of it in a log or an error."""

from __future__ import annotations

import io
import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import IO, Any

import numpy as np

from brain3d.scans.dicom_files import MARK, MAX_FILE_BYTES

DEFLATED = "1.2.840.10008.1.2.1.99"
MAX_INFLATED_BYTES = 2**28
MAX_STUDY_BYTES = 2**32
MAX_HEADER_BYTES = 2**26
# A study is read in seconds or refused: small files and archives can hold any number of elements. A folder may take
# longer the more files it has, which nobody can hide.
MAX_READS = 1_500_000
MORE_READS_OF_FILE = 1000
READS_TO_OPEN, READS_OF_SLICE = 100, 250
# The file meta group of a dataset that was deflated: explicit, little-endian from here on.
_PLAIN_META = b"\0" * 128 + MARK + b"\x02\x00\x10\x00UI\x14\x00" + b"1.2.840.10008.1.2.1\0"
_DAMAGED = (
    *(EOFError, LookupError, NotImplementedError, OverflowError, RuntimeError, TypeError, ValueError),
    *(AttributeError, AssertionError, struct.error, zlib.error),
)


class DamagedError(Exception):
    """A file that cannot be parsed. It carries no words, since pydicom's may quote the file."""


class TooMuchError(Exception):
    """A study that holds more to be parsed than any does."""


@contextmanager
def parsing() -> Iterator[None]:
    """What pydicom raises over a damaged file becomes a DamagedError."""
    from pydicom.errors import BytesLengthException

    try:
        yield
    except (*_DAMAGED, BytesLengthException):
        raise DamagedError from None
    except OSError as error:
        if error.errno is not None:  # the system's; one without a number is pydicom's own
            raise
        raise DamagedError from None


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what pydicom warns of, which quotes the file's values, out of stderr and the log."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


class Allowance:
    """How much one study may still take: bytes to inflate, and reads, of which every element takes one or two.

    To open a file takes as long as `READS_TO_OPEN`, to describe a slice as `READS_OF_SLICE`, so they count as those.
    Without it small files could take hours. TooMuchError where it is used up.
    """

    def __init__(self, n_bytes: int = MAX_STUDY_BYTES, n_reads: int = MAX_READS) -> None:
        self._bytes, self._reads = n_bytes, n_reads

    def inflate(self, packed: bytes, most: int) -> bytes:
        """The first `most` bytes, or one more where there are more, of a raw deflate stream."""
        plain = zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, min(most, self._bytes) + 1)
        self._bytes -= len(plain)
        if self._bytes < 0:
            raise TooMuchError
        return plain

    def read(self, count: int = 1) -> None:
        """Count reads, or what takes as long."""
        self._reads -= count
        if self._reads < 0:
            raise TooMuchError


class HeaderStream:
    """A stream of which a header is read: no more than `MAX_HEADER_BYTES`, and as often as is allowed."""

    def __init__(self, stream: IO[bytes], allowance: Allowance) -> None:
        self._stream, self._allowance, self._left = stream, allowance, MAX_HEADER_BYTES
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int = -1) -> bytes:
        """As of any stream; ValueError for more than a header has."""
        self._allowance.read()
        if not 0 <= size <= self._left:
            raise ValueError("more than a header has")
        block = self._stream.read(size)
        self._left -= len(block)
        return block


def plain_stream(stream: IO[bytes], allowance: Allowance, most: int) -> IO[bytes]:
    """The stream itself at its start or, for a deflated dataset, one of the first `most` bytes of its plain form."""
    from pydicom.filereader import read_dataset

    stream.seek(128)
    if stream.read(4) != MARK:
        stream.seek(0)
        return stream
    head: Any = HeaderStream(stream, allowance)
    meta = read_dataset(head, False, True, stop_when=lambda tag, _vr, _length: tag.group != 2)
    if text(meta, "TransferSyntaxUID") != DEFLATED:
        stream.seek(0)
        return stream
    return io.BytesIO(_PLAIN_META + allowance.inflate(stream.read(MAX_FILE_BYTES), most))


@cache
def _tag(keyword: str) -> Any:
    from pydicom.tag import Tag

    return Tag(keyword)


def get(dataset: Any, keyword: str, unreadable: Any = None) -> Any:
    """An element's value; None where it is absent or empty, and `unreadable` where it cannot be parsed."""
    try:
        with parsing():
            tag = _tag(keyword)
            value = dataset[tag].value if tag in dataset else None
    except DamagedError:
        return unreadable
    return None if value is None or value == "" else value


def text(dataset: Any, keyword: str) -> str:
    """An element's words, several joined by a backslash as they are stored; "" where there are none."""
    value = get(dataset, keyword)
    if value is None or isinstance(value, bytes):
        return ""
    return "\\".join(map(str, value)) if not isinstance(value, str) and np.iterable(value) else str(value)


def numbers(value: Any, count: int) -> tuple[float, ...] | None:
    """Exactly `count` finite numbers, or None."""
    values = value if not isinstance(value, str | bytes) and np.iterable(value) else [value]
    try:
        found = tuple(float(number) for number in values)
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and np.isfinite(found).all() else None
