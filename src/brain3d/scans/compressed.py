"""The plain form of a gzip stream, read forwards within bounds, whatever its headers hold.

Python's own `gzip` reads the names in a stream's headers byte by byte and takes any number of members, so a small
file can keep it busy for minutes. Here ISA-L, several times faster than zlib, does both (RFC 1952), and members are
counted.
"""

from __future__ import annotations

import zlib
from typing import IO

from isal import isal_zlib

GZIP_MAGIC = b"\x1f\x8b"
MAX_DEFLATE_RATIO = 1040
MAX_MEMBERS = 2**16  # tools that compress blockwise write one for every 64 kB
_GZIP_WBITS = 31
_BLOCK_BYTES = 2**16


def is_compressed(raw: IO[bytes]) -> bool:
    """Whether a file is gzip, whatever its name says."""
    raw.seek(0)
    return raw.read(2) == GZIP_MAGIC


def opened(raw: IO[bytes]) -> IO[bytes] | GzipStream:
    """The file's content from its start, decompressed where it is gzip."""
    compressed = is_compressed(raw)
    raw.seek(0)
    return GzipStream(raw) if compressed else raw


class GzipStream:
    """What is compressed in a file, from its start; zeros behind a member are padding.

    Reading raises EOFError where the stream ends early, isal's IsalError where it is damaged or its checksum is
    wrong, and zlib.error where it has more members than any scan.
    """

    def __init__(self, packed: IO[bytes]) -> None:
        self._packed = packed
        self._waiting = b""
        self._member = isal_zlib.decompressobj(_GZIP_WBITS)
        self._members = 1

    def read(self, size: int) -> bytes:
        """The next `size` plain bytes, fewer at the end alone."""
        parts: list[bytes] = []
        while size > 0 and self._goes_on():
            part = self._member.decompress(self._waiting or self._more(), size)
            self._waiting = self._member.unconsumed_tail or self._member.unused_data
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def _more(self) -> bytes:
        block = self._packed.read(_BLOCK_BYTES)
        if not block:
            raise EOFError
        return block

    def _goes_on(self) -> bool:
        """Whether there is more, or may be: after a member's end, the next one is begun."""
        if not self._member.eof:
            return True
        self._waiting = self._waiting.lstrip(b"\0")
        while not self._waiting:
            block = self._packed.read(_BLOCK_BYTES)
            if not block:
                return False
            self._waiting = block.lstrip(b"\0")
        self._members += 1
        if self._members > MAX_MEMBERS:
            raise zlib.error("too many members")
        self._member = isal_zlib.decompressobj(_GZIP_WBITS)
        return True
