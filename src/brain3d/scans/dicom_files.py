"""Finding the files of a DICOM study, by content, in a folder, a zip archive or a single file, within bounds.

Nothing is ever extracted to disk, so what an archive calls its members does not matter.
"""

from __future__ import annotations

import errno
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import IO, NamedTuple

from brain3d.scans.source import Source

MAX_FILES = 50_000
MAX_FILE_BYTES = 2**29
MAX_STUDY_BYTES = 2**32
MAX_RATIO, RATIO_FROM_BYTES = 100, 2**26
MAX_DIRECTORY_BYTES = 2**23
HEAD_BYTES, MARK = 132, b"DICM"
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_ZIP_END, _ZIP64_LOCATOR = b"PK\x05\x06", b"PK\x06\x07"
_ENCRYPTED = 0x1
# What Python's zipfile lets through of a damaged list of contents or header, besides its own BadZipFile.
_UNZIPPING = (EOFError, OverflowError, RuntimeError, UnicodeError, ValueError, struct.error)


class StoredFile(NamedTuple):
    """A file that may be a DICOM one: its size in bytes, and what opens it at its start."""

    size: int
    open: Callable[[], IO[bytes]]


def is_zip(head: bytes) -> bool:
    """Whether a file that begins with these bytes is a zip archive."""
    return head.startswith(_ZIP_STARTS)


def looks_like_dicom(head: bytes) -> bool:
    """Whether a file may be DICOM that begins with these bytes, `HEAD_BYTES` of them where it has as many.

    Either the preamble and its mark, or a first element of group 2 or 8, which every dataset begins with.
    """
    if head[128:132] == MARK:
        return True
    if len(head) < 8:
        return False
    little, big = (struct.unpack(order, head[:8]) for order in ("<HHI", ">HHI"))
    explicit = head[4:6].isalpha() and head[4:6].isupper()
    if big[0] == 8 and explicit:
        return True
    return little[0] in (2, 8) and little[1] < 0x2000 and (explicit or little[2] < 0x1000)


def is_dicom(path: Path) -> bool:
    """Whether a regular file may be DICOM."""
    return path.is_file() and looks_like_dicom(_head(path))


def holds_dicom(source: Source) -> bool:
    """Whether any file in a folder, however deep, may be DICOM."""
    return any(looks_like_dicom(_head(path)) for path in _walk(source))


def archive_holds_dicom(source: Source) -> bool:
    """Whether any file in a zip archive may be DICOM. InputError where it cannot be looked into."""
    with stored_files(source) as files:
        for file in files:
            with file.open() as stream:
                if looks_like_dicom(stream.read(HEAD_BYTES)):
                    return True
    return False


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


@contextmanager
def stored_files(source: Source) -> Iterator[list[StoredFile]]:
    """The files of a study that may be DICOM, to be opened while the context lasts. InputError, one line."""
    path = source.path
    if len(source.files) > MAX_FILES:
        raise source.refuse(f"a study of more than {MAX_FILES} files; give the folder of the one series")
    if source.files:
        yield [_stored(file) for file in source.files]
    elif path.is_dir():
        yield [_stored(entry) for entry in _walk(source)]
    elif not is_zip(_head(path)):
        yield [_stored(path)]
    else:
        _check_directory(source)
        try:
            with _archive(path) as archive:
                yield [StoredFile(one.file_size, partial(_member, archive, one)) for one in _members(source, archive)]
        except (zipfile.BadZipFile, zlib.error, NotImplementedError):
            raise source.refuse("a damaged zip archive; copy it again, or unpack it and give the folder") from None


def _archive(path: Path) -> zipfile.ZipFile:
    """An archive with its list of contents; BadZipFile whatever is wrong with that."""
    with _unzipping():
        return zipfile.ZipFile(path)


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> IO[bytes]:
    """A member at its start; BadZipFile whatever is wrong with its own header."""
    with _unzipping():
        return archive.open(info)


@contextmanager
def _unzipping() -> Iterator[None]:
    try:
        yield
    except _UNZIPPING:
        raise zipfile.BadZipFile from None
    except OSError as error:
        if error.errno != errno.EINVAL:  # that is a place before the file's start, where the list puts a member
            raise
        raise zipfile.BadZipFile from None


def _stored(path: Path) -> StoredFile:
    return StoredFile(path.stat().st_size, partial(_open, path))


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _walk(source: Source) -> Iterator[Path]:
    """The regular files below a folder, in the order of their paths. Links to folders are not followed: no loops."""
    waiting, count = [source.path], 0
    while waiting:
        with os.scandir(waiting.pop()) as listed:
            entries = list(islice(listed, MAX_FILES + 1))
        count += len(entries)
        if count > MAX_FILES:
            raise source.refuse(f"a folder with more than {MAX_FILES} files; give the folder of one study")
        visible = sorted((entry for entry in entries if not entry.name.startswith(".")), key=lambda entry: entry.name)
        waiting.extend(Path(entry.path) for entry in reversed(visible) if entry.is_dir(follow_symlinks=False))
        yield from (Path(entry.path) for entry in visible if _is_regular(entry))


def _is_regular(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file, or a link to one; no link that leads nowhere, or to itself."""
    return os.path.isfile(entry.path) if entry.is_symlink() else entry.is_file(follow_symlinks=False)


def _check_directory(source: Source) -> None:
    """InputError where an archive's own list of contents is too long to be read."""
    with source.path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 2**16 - 2**7))
        tail = file.read()
    at = tail.rfind(_ZIP_END)
    if at < 0 or len(tail) < at + 22:
        raise source.refuse("a zip archive that is cut short; copy it again")
    listed = struct.unpack("<I", tail[at + 12 : at + 16])[0]
    if tail[max(0, at - 20) : at].startswith(_ZIP64_LOCATOR) and at >= 76:
        listed = struct.unpack("<Q", tail[at - 36 : at - 28])[0]
    if listed > MAX_DIRECTORY_BYTES:
        raise source.refuse(f"a zip archive of more than {MAX_FILES} files; give one study")


def _members(source: Source, archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """The members to look at; InputError where they are more, or larger, than those of any study."""
    members = [info for info in archive.infolist() if _is_plain(info)]
    if not members:
        raise source.refuse("a zip archive without files; give one with a DICOM study")
    if len(members) > MAX_FILES:
        raise source.refuse(f"a zip archive of more than {MAX_FILES} files; give one study")
    if any(info.flag_bits & _ENCRYPTED for info in members):
        raise source.refuse("an encrypted zip archive; unpack it and give the folder")
    if any(info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) for info in members):
        raise source.refuse("a zip archive in an unusual compression; unpack it and give the folder")
    unpacked = sum(info.file_size for info in members)
    packed = source.path.stat().st_size
    if unpacked > MAX_STUDY_BYTES or unpacked > max(RATIO_FROM_BYTES, MAX_RATIO * packed):
        raise source.refuse(
            f"a zip archive of {packed / 2**20:.1f} MiB that claims to unpack to {unpacked / 2**20:.0f} MiB, "
            "more than a study does; give one study"
        )
    return members


def _is_plain(info: zipfile.ZipInfo) -> bool:
    """Whether a member is a file: no folder, no link, not hidden. One without a name is none."""
    link = stat.S_ISLNK(info.external_attr >> 16)
    hidden = any(part.startswith(".") and part.strip(".") for part in info.filename.split("/"))
    return info.filename != "" and not (info.filename.endswith("/") or link or hidden)
