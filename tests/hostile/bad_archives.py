"""Gzip streams and zip archives: cut short, lying, in one another, and bombs."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import warnings
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from sound import Harmless, Make, Member, nifti, overwritten, packed, put, slices, zipped

BROKEN = "compressed data is damaged or cut short; copy or export it again$"
NO_DICOM = "no DICOM images among its files"
ARCHIVE = "zip archive"
MIB = 2**20
ENTRY, END = b"PK\x01\x02", b"PK\x05\x06"


def _gz(change: Callable[[bytes], bytes]) -> Make:
    """The sound scan compressed, and then changed."""
    return lambda folder: put(change(packed(nifti())), "scan.nii.gz")(folder)


def _last_member(extra: bytes) -> Make:
    return _gz(lambda stream: stream + extra)


def repeated(start: bytes, block: bytes, count: int) -> bytes:
    """A gzip stream of something and then a block so many times, made without compressing it so often."""
    packer = zlib.compressobj(9, wbits=-15)
    head = packer.compress(start) + packer.flush(zlib.Z_FULL_FLUSH)
    again = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = zlib.crc32(start)
    for _ in range(count):
        checksum = zlib.crc32(block, checksum)
    length = (len(start) + len(block) * count) % 2**32
    frame = b"\x1f\x8b\x08" + bytes(7), struct.pack("<II", checksum, length)
    return frame[0] + head + again * count + packer.flush() + frame[1]


def zeros(n_bytes: int, start: bytes = b"") -> bytes:
    """A gzip stream of something and then so many zeros."""
    return repeated(start, bytes(16 * MIB), n_bytes // (16 * MIB))


def _claiming(dims: tuple[int, int, int], kind: str) -> bytes:
    """A header that claims so many voxels of a type."""
    dtype = np.dtype(kind)
    code = {"f4": 16, "f8": 64}[kind]
    fields = {"dim": [3, *dims, 1, 1, 1, 1], "datatype": code, "bitpix": 8 * dtype.itemsize}
    return nifti(**fields, sform=np.diag([0.5, 0.5, 0.5, 1]))[:352]


def _bomb(dims: tuple[int, int, int], kind: str, n_bytes: int) -> Make:
    return lambda folder: put(zeros(n_bytes, _claiming(dims, kind)), "scan.nii.gz")(folder)


def _pattern_bomb(folder: Path) -> Path:
    """The largest image that is read, of a pattern that deflates a hundredfold and is no head."""
    pattern = np.random.default_rng(0).integers(0, 255, 2**14, np.uint8).tobytes() * 64
    header = nifti(dim=[3, 512, 512, 512, 1, 1, 1, 1], datatype=2, bitpix=8, sform=np.diag([0.5, 0.5, 0.5, 1]))[:352]
    return put(repeated(header, pattern, 128), "scan.nii.gz")(folder)


def _named_without_end(n_bytes: int) -> bytes:
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"A" * n_bytes


def _empty_members(count: int) -> bytes:
    return packed(b"") * count


# What follows is about zip archives.


def _text_in(name: str) -> Make:
    """An archive of one member that is no image, of a name that would leave the folder if it were extracted."""
    return lambda folder: zipped({name: b"ssh-rsa AAAA"}, folder)


def _study() -> dict[str, bytes]:
    return {f"{number:03d}": content for number, content in enumerate(slices())}


def _archive(change: Callable[[bytes], bytes], members: Callable[[], dict[str, bytes]] = _study) -> Make:
    """An archive of the sound study, and then changed."""

    def make(folder: Path) -> Path:
        path = zipped(members(), folder)
        path.write_bytes(change(path.read_bytes()))
        return path

    return make


def _first_entry(at: int, form: str, value: int) -> Callable[[bytes], bytes]:
    """Overwrites a field of the first entry of the archive's own list of contents."""
    return lambda content: overwritten(content, content.find(ENTRY) + at, form, value)


def _end(at: int, form: str, value: int) -> Callable[[bytes], bytes]:
    return lambda content: overwritten(content, content.rfind(END) + at, form, value)


def _links(folder: Path) -> Path:
    path = folder / "study.zip"
    with zipfile.ZipFile(path, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    return path


def _nested(folder: Path) -> Path:
    content = b"text"
    for depth in range(20):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(f"{depth}.zip", content)
        content = buffer.getvalue()
    return put(content, "study.zip")(folder)


def _duplicates() -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore", UserWarning)
        for content in slices() * 2:
            archive.writestr("same", content)
    return buffer.getvalue()


def _many(count: int, content: bytes, folder: Path) -> Path:
    return zipped({f"{number:05x}": content for number in range(count)}, folder, zipfile.ZIP_STORED)


def _of_zeros(count: int, n_bytes: int, folder: Path) -> Path:
    """An archive of files that look like DICOM and are all zeros."""
    return zipped({str(number): bytes(128) + b"DICM" + bytes(n_bytes) for number in range(count)}, folder)


def _overlapping(folder: Path) -> Path:
    """Many entries for one member's bytes: what unpacks to much though it is small."""
    path = zipped({"kernel": bytes(128) + b"DICM" + bytes(MIB)}, folder)
    content = path.read_bytes()
    at, end = content.find(ENTRY), content.rfind(END)
    count = 5000
    listed = b"".join(content[at:end].replace(b"kernel", f"{number:06d}".encode()) for number in range(count))
    tail = struct.pack("<4sHHHHIIH", END, 0, 0, count, count, len(listed), at, 0)
    path.write_bytes(content[:at] + listed + tail)
    return path


def _elements(count: int) -> bytes:
    """A DICOM file of empty elements, as many as can be, each of which takes reading."""
    tags = np.empty(count, [("group", "<u2"), ("element", "<u2"), ("vr", "S2"), ("length", "<u2")])
    tags["group"], tags["element"], tags["vr"], tags["length"] = 0x0009, np.arange(count) % 0xFFFF, b"LO", 0
    return bytes(128) + b"DICM" + tags.tobytes()


def _elements_in_files(count: int, n_files: int, folder: Path) -> Path:
    content = _elements(count)
    return zipped({str(number): content for number in range(n_files)}, folder)


def _small_study_files(count: int, folder: Path) -> Path:
    """Thousands of small images of one place: each of them has to be looked into."""
    content = slices()[16]
    return zipped({f"{number:05d}": content for number in range(count)}, folder)


MEMBERS = (
    Member("gzip_magic_alone", put(b"\x1f\x8b", "scan.nii.gz"), f"{BROKEN}|not a NIfTI"),
    Member("gzip_cut_in_its_header", _gz(lambda stream: stream[:7]), BROKEN),
    Member("gzip_cut_after_its_header", _gz(lambda stream: stream[:10]), BROKEN),
    Member("gzip_cut_in_the_stream", _gz(lambda stream: stream[: len(stream) // 2]), BROKEN),
    Member("gzip_cut_before_the_checksum", _gz(lambda stream: stream[:-8]), BROKEN),
    Member("gzip_cut_in_the_checksum", _gz(lambda stream: stream[:-6]), BROKEN),
    Member("gzip_cut_in_the_length", _gz(lambda stream: stream[:-1]), BROKEN),
    Member("gzip_wrong_checksum", _gz(lambda stream: stream[:-8] + b"\0\1\2\3" + stream[-4:]), BROKEN),
    Member("gzip_wrong_length", _gz(lambda stream: stream[:-4] + b"\0\1\2\3"), BROKEN),
    Member("gzip_zeroed_inside", _gz(lambda s: s[: len(s) // 3] + bytes(200) + s[len(s) // 3 + 200 :]), BROKEN),
    Member("gzip_unknown_method", _gz(lambda stream: stream[:2] + b"\7" + stream[3:]), BROKEN),
    Member("gzip_garbage_behind", _last_member(b"garbage" * 100), BROKEN),
    Member("gzip_second_member_cut", _last_member(packed(b"more")[:-3]), BROKEN),
    Member("gzip_of_nothing", put(packed(b""), "scan.nii.gz"), "not a NIfTI"),
    Member("gzip_in_gzip", _gz(packed), "compressed twice"),
    Member("gzip_of_text", put(packed(b"hello" * 500), "scan.nii.gz"), "not a NIfTI"),
    Member("gzip_of_a_zip", put(packed(b"PK\3\4" + bytes(600)), "scan.nii.gz"), "not a NIfTI"),
    Member("gzip_name_without_end", lambda f: put(_named_without_end(64 * MIB), "scan.nii.gz")(f), BROKEN),
    Member(
        "gzip_name_without_end_behind_nothing",
        lambda f: put(packed(b"") + _named_without_end(64 * MIB), "scan.nii.gz")(f),
        BROKEN,
    ),
    Member("gzip_members_without_end", lambda f: put(_empty_members(10**6), "scan.nii.gz")(f), "compressed data"),
    Member(
        "gzip_members_without_end_behind_the_data",
        lambda f: put(packed(nifti()) + _empty_members(10**6), "scan.nii.gz")(f),
        "compressed data",
    ),
    Member(
        "gzip_bomb_behind_the_data",
        lambda f: put(zeros(2048 * MIB, nifti()), "scan.nii.gz")(f),
        "far more than its 32 x 40 x 33 voxels need",
    ),
    Member("gzip_bomb_of_terabytes", _bomb((30000, 30000, 30000), "f8", 64 * MIB), "too large"),
    Member("gzip_bomb_of_doubles", _bomb((512, 512, 512), "f8", 1024 * MIB), "empty image|too large"),
    Member("gzip_bomb_that_ends_early", _bomb((512, 512, 500), "f4", 320 * MIB), "cut short"),
    Member("gzip_bomb_of_a_pattern", _pattern_bomb, "scan of a head"),
    Member("zip_empty", partial(zipped, {}), "without files"),
    Member("zip_of_text", _text_in("a.txt"), NO_DICOM),
    Member("zip_path_upwards", _text_in("../../../escaped"), NO_DICOM),
    Member("zip_absolute_path", _text_in("/escaped"), NO_DICOM),
    Member("zip_backslashes", _text_in("a\\..\\..\\..\\escaped"), NO_DICOM),
    Member("zip_drive_letter", _text_in("C:\\Windows\\escaped"), NO_DICOM),
    Member("zip_name_with_escapes", _text_in("\x1b[2J\r\n\x07"), NO_DICOM),
    Member("zip_name_of_sixty_kilobytes", _text_in("a/" * 30_000 + "b"), f"{NO_DICOM}|without files"),
    Member(
        "zip_name_in_no_encoding",
        _archive(lambda s: s.replace(b"caf\xc3\xa9", b"caf\xff\xff"), lambda: {"café": b"x"}),
        "damaged zip archive",
    ),
    Member(
        "zip_member_without_a_name",
        _archive(lambda s: s.replace(b"name", b"\0ame"), lambda: {"name": b"x"}),
        "without files",
    ),
    Member("zip_links_alone", _links, "without files"),
    Member("zip_folders_alone", partial(zipped, {"a/": b"", "a/b/": b""}), "without files"),
    Member("zip_in_zip_in_zip", _nested, NO_DICOM),
    Member("zip_of_nifti", lambda f: zipped({"scan.nii": nifti()}, f), NO_DICOM),
    Member("zip_encrypted", _archive(_first_entry(8, "<H", 1)), "encrypted zip archive; unpack"),
    Member("zip_unknown_compression", _archive(_first_entry(10, "<H", 99)), "unusual compression; unpack"),
    Member("zip_lzma", partial(zipped, {"a": b"x" * 100}, method=zipfile.ZIP_LZMA), "unusual compression; unpack"),
    Member("zip_duplicate_names", lambda f: put(_duplicates(), "study.zip")(f), "duplicate positions"),
    Member("zip_cut_in_the_first_member", _archive(lambda s: s[:100]), "cut short; copy it again"),
    Member("zip_cut_in_the_list", _archive(lambda s: s[:-100]), "cut short; copy it again"),
    Member("zip_cut_at_the_front", _archive(lambda s: b"PK\3\4" + s[1000:]), "damaged zip archive"),
    Member("zip_list_elsewhere", _archive(_end(16, "<I", 2**31)), "damaged zip archive"),
    Member("zip_list_of_gigabytes", _archive(_end(12, "<I", 2**31)), ARCHIVE),
    Member("zip_members_elsewhere", _archive(_first_entry(42, "<I", 2**31)), "damaged zip archive"),
    Member("zip_version_of_the_future", _archive(_first_entry(6, "<H", 255)), "damaged zip archive"),
    Member(
        "zip_date_that_is_none",
        _archive(_first_entry(24, "<I", 10), lambda: {"a": slices()[0]}),
        "damaged zip archive|DICOM",
    ),
    Member("zip_claims_less_than_it_holds", _archive(_first_entry(24, "<I", 1000)), "damaged|missing slices"),
    Member("zip_claims_gigabytes", _archive(_first_entry(24, "<I", 2**32 - 2)), "claims to unpack to"),
    Member("zip_wrong_checksum", _archive(_first_entry(16, "<I", 77)), "damaged"),
    Member("zip_damaged_inside", _archive(lambda s: s[: len(s) // 3] + bytes(400) + s[len(s) // 3 + 400 :]), "damaged"),
    Member("zip_overlapping_members", _overlapping, ARCHIVE),
    Member("zip_bomb_of_one_file", partial(_of_zeros, 1, 100 * MIB), "claims to unpack to 100 MiB"),
    Member("zip_bomb_of_many_files", partial(_of_zeros, 50, 2 * MIB), "claims to unpack to 100 MiB"),
    Member("zip_of_sixty_thousand_files", partial(_many, 60_000, b"x"), "more than 50000 files"),
    Member("zip_of_fifty_thousand_marked_files", partial(_many, 50_000, bytes(128) + b"DICM"), "more to be read"),
    Member("zip_of_elements_without_end", partial(_elements_in_files, 500_000, 8), "more to be read|damaged"),
    Member("zip_of_thousands_of_images", partial(_small_study_files, 20_000), "duplicate positions|more to be read"),
)

HARMLESS = (
    Harmless("compressed", _gz(lambda stream: stream)),
    Harmless("compressed_without_its_suffix", lambda f: put(packed(nifti()))(f)),
    Harmless("plain_with_the_suffix_of_compression", lambda f: put(nifti(), "scan.nii.gz")(f)),
    Harmless(
        "gzip_in_several_members",
        lambda f: put(b"".join(map(packed, (nifti()[:99], b"", nifti()[99:]))), "scan.nii.gz")(f),
    ),
    Harmless("gzip_zeros_behind", _last_member(bytes(3000))),
    Harmless("gzip_without_compression", lambda f: put(gzip.compress(nifti(), 0), "scan.nii.gz")(f)),
    Harmless("zip_of_paths_upwards", lambda f: zipped({f"../../{k}": v for k, v in _study().items()}, f)),
    Harmless("zip_of_absolute_paths", lambda f: zipped({f"/{k}": v for k, v in _study().items()}, f)),
)
