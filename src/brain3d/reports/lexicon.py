"""The lexicon: words and phrases by what they mean, read from YAML, checked, and added to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from brain3d.reports.findings import REGIONS

_PHRASE = re.compile(r"[^\W_](?:[\w'/ -]|\*| \* |\((?:s|es|e)\)(?=[ ]|$))*|\*[\w'/ -]+")
_LARGEST_BYTES = 1 << 20
# libyaml's loader is ten times faster; the pure one gives the same.
_LOADER: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader


@dataclass(frozen=True)
class Lexicon:
    """The lists of the lexicon by their path in the file ("regions.frontal"), and the stems of compound words."""

    version: str
    lists: tuple[tuple[str, tuple[str, ...]], ...]
    stems: tuple[tuple[str, str], ...]

    def words(self, path: str) -> tuple[str, ...]:
        """The words of one list."""
        return dict(self.lists)[path]


def _refusal(message: str) -> Exception:
    """An InputError. Imported late: reading findings needs none of what scans import."""
    from brain3d.scans.types import InputError

    return InputError(message)


def _load(text: str | bytes, named: str) -> dict[str, Any]:
    try:
        values = yaml.load(text, Loader=_LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _refusal(f"{named}: not a YAML file ({' '.join(str(error).split())})") from error
    if not isinstance(values, dict):
        raise _refusal(f"{named}: give lists of words under the names that docs/findings.md lists")
    return values


def _lists(values: Any, path: str, named: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The lists of words in nested mappings, each with its path."""
    if isinstance(values, dict):
        for name, below in values.items():
            yield from _lists(below, f"{path}.{name}" if path else str(name), named)
    elif isinstance(values, list):
        yield path, tuple(_checked(word, path, named) for word in values)
    else:
        raise _refusal(f"{named}: {path}: give a list of words, each on a line after a dash")


def _checked(word: Any, path: str, named: str) -> str:
    if not isinstance(word, str):
        raise _refusal(f"{named}: {path}: {word!r} is not text; put it in quotes")
    if word != word.lower() or word != " ".join(word.split()) or not _PHRASE.fullmatch(word):
        raise _refusal(
            f"{named}: {path}: {word!r}: give lower-case words with single spaces; besides letters only ' / - * and "
            "the endings (s), (es), (e)"
        )
    return word


def _stems(values: Any, named: str) -> Iterator[tuple[str, str]]:
    if not isinstance(values, dict):
        raise _refusal(f"{named}: stems: give lines such as 'fronto: frontal'")
    for stem, region in values.items():
        if not (isinstance(stem, str) and stem.isalpha() and stem == stem.lower()):
            raise _refusal(f"{named}: stems: {stem!r} is not the first part of a word, in lower case")
        if region not in REGIONS:
            raise _refusal(f"{named}: stems: {region!r} is no region; choose from: {', '.join(REGIONS)}")
        yield stem, region


def _read(text: str | bytes, named: str) -> Lexicon:
    values = _load(text, named)
    version = values.pop("version", "")
    stems = tuple(_stems(values.pop("stems", {}), named))
    return Lexicon(str(version), tuple(_lists(values, "", named)), stems)


@cache
def default_lexicon() -> Lexicon:
    """The lexicon that comes with the package."""
    text = resources.files("brain3d.reports").joinpath("lexicon.yaml").read_bytes()
    return _read(text, "lexicon.yaml")


def load_lexicon(path: str | Path) -> Lexicon:
    """The package's lexicon with the words of the YAML file at `path` added to it.

    The file has the names of the package's own lists, as many of them as wanted. Its version, where it gives one,
    stands behind the package's. InputError where it cannot be read, has other names, or words that are none.
    """
    named = f"--lexicon {path}"
    try:
        with Path(path).open("rb") as file:
            text = file.read(_LARGEST_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise _refusal(f"{named}: cannot be read ({reason})") from error
    if len(text) > _LARGEST_BYTES:
        raise _refusal(f"{named}: larger than a mebibyte; give a list of words")
    return _extended(default_lexicon(), _read(text, named), named)


def _extended(base: Lexicon, more: Lexicon, named: str) -> Lexicon:
    """`base` with the words of `more`; a list that `base` has not is an InputError."""
    lists = dict(base.lists)
    for path, words in more.lists:
        if path not in lists:
            near = get_close_matches(path, lists, 3, 0.4)
            raise _refusal(f"{named}: no list is called {path!r}; near it are: {', '.join(near) or 'none'}")
        lists[path] += tuple(word for word in words if word not in lists[path])
    version = f"{base.version}+{more.version}" if more.version else f"{base.version}+"
    return Lexicon(version, tuple(lists.items()), tuple(dict(base.stems + more.stems).items()))
