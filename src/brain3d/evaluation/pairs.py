"""Reading pairs of a reference and a candidate report: JSON Lines, every line accounted for."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from brain3d.scans.types import InputError

LONG_TEXT = 20_000
_LETTER = re.compile(r"[^\W\d_]")
_FUNCTION_WORDS = re.compile(
    r"\b(?:the|a|an|is|are|was|no|not|in|of|with|and|there|seen|to|on|at|by|for|normal|left|right|lesions?|edema"
    r"|necrosis|brain|compression|tumou?r|mass|without|unremarkable)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Pair:
    """One case. `candidate` is None where none was generated, `reference` None where there is only a mask.

    `healthy` is None where the line does not say. `mirrored` is the candidate for the mirrored scan, `nearest` the
    report of the most similar training scan, `paraphrase` another phrasing of the reference (for the self-test).
    """

    id: str
    line: int
    reference: str | None
    candidate: str | None
    healthy: bool | None = None
    image: Path | None = None
    mask: Path | None = None
    mirrored: str | None = None
    nearest: str | None = None
    paraphrase: str | None = None


@dataclass(frozen=True)
class Problem:
    """What is wrong with a line: `kind` for counting, `skipped` where the line is no case because of it."""

    line: int
    id: str
    kind: str
    reason: str
    skipped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"line": self.line, "id": self.id, "kind": self.kind, "reason": self.reason}


class _Unusable(Exception):
    """A line that is no case: its kind and why."""


def _text(values: dict[str, Any], key: str) -> str | None:
    value = values.get(key)
    return value if isinstance(value, str) and value.strip() else None


def _identity(values: dict[str, Any], line: int) -> tuple[str, list[Problem]]:
    given = values.get("id")
    if isinstance(given, str | int) and not isinstance(given, bool) and str(given).strip():
        return str(given), []
    name = f"line-{line}"
    return name, [Problem(line, name, "missing_id", "has no id; it is called by its line")]


def _candidate_problem(values: dict[str, Any], line: int, name: str) -> list[Problem]:
    if _text(values, "candidate") is not None:
        return []
    given = values.get("candidate")
    if given is None:
        reason = "has no candidate"
    elif isinstance(given, str):
        reason = "its candidate is empty"
    else:
        reason = "its candidate is not text"
    return [Problem(line, name, "failed", f"{reason}; it counts as wrong")]


def _looks_english(text: str) -> bool:
    """Whether the letters are Latin and some common English or report word stands among the first words."""
    letters = _LETTER.findall(text[:2000])
    latin = sum(letter.isascii() for letter in letters)
    return latin >= 0.8 * len(letters) and (_FUNCTION_WORDS.search(text[:5000]) is not None or len(text.split()) < 4)


def _text_problems(pair: Pair) -> list[Problem]:
    found = []
    for what, text in (("reference", pair.reference), ("candidate", pair.candidate)):
        if text is None:
            continue
        if len(text) > LONG_TEXT:
            reason = f"its {what} has {len(text)} characters; findings are read out of the first {LONG_TEXT}"
            found.append(Problem(pair.line, pair.id, "long_text", reason))
        if not _looks_english(text):
            reason = f"its {what} does not look English; it is scored, but findings are read from English alone"
            found.append(Problem(pair.line, pair.id, "not_english", reason))
    return found


def _parse(line: bytes) -> dict[str, Any]:
    try:
        values = json.loads(line.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _Unusable("not_utf8", "is not UTF-8 text") from None
    except (ValueError, RecursionError):
        raise _Unusable("invalid_json", "is not valid JSON") from None
    if not isinstance(values, dict):
        raise _Unusable("invalid_json", "is no JSON object")
    return values


def _path(values: dict[str, Any], key: str, folder: Path) -> Path | None:
    value = _text(values, key)
    return None if value is None else folder / value


def _pair(values: dict[str, Any], line: int, folder: Path) -> tuple[Pair, list[Problem]]:
    name, problems = _identity(values, line)
    healthy = values.get("healthy")
    if healthy in (0, 1):
        healthy = bool(healthy)
    elif healthy is not None:
        problems.append(Problem(line, name, "bad_healthy", '"healthy" is neither true nor false; it is not used'))
        healthy = None
    pair = Pair(
        id=name,
        line=line,
        reference=_text(values, "reference"),
        candidate=_text(values, "candidate"),
        healthy=healthy,
        image=_path(values, "image", folder),
        mask=_path(values, "mask", folder),
        mirrored=_text(values, "mirrored"),
        nearest=_text(values, "nearest"),
        paraphrase=_text(values, "paraphrase"),
    )
    if pair.mask is not None and pair.image is None:
        problems.append(Problem(line, name, "mask_without_image", "has a mask, but no image to place it; not grounded"))
        pair = replace(pair, mask=None)
    if pair.reference is None and pair.mask is None:
        raise _Unusable("no_reference", f"{name} has neither a reference nor a mask to score against")
    return pair, [*problems, *_candidate_problem(values, line, name), *_text_problems(pair)]


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, line
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); give a file of JSON Lines") from error


def read_pairs(path: Path) -> tuple[list[Pair], list[Problem]]:
    """The cases of a file of pairs, and what is wrong with its lines.

    Each line is {"id", "reference", "candidate"} with "image", "mask", "healthy", "mirrored", "nearest" and
    "paraphrase" where there are such; paths are relative to the file's folder. A line that cannot be a case
    (invalid JSON, no reference, an id met before) is a problem that is `skipped`; a missing candidate is a case that
    failed. InputError where the file cannot be read or holds no case at all.
    """
    pairs: dict[str, Pair] = {}
    problems: list[Problem] = []
    for number, line in _lines(path):
        try:
            pair, found = _pair(_parse(line), number, path.parent)
        except _Unusable as error:
            problems.append(Problem(number, "", error.args[0], error.args[1], skipped=True))
            continue
        if pair.id in pairs:
            reason = f"the id {pair.id} was met in line {pairs[pair.id].line}; only that one is scored"
            problems.append(Problem(number, pair.id, "duplicate_id", reason, skipped=True))
            continue
        pairs[pair.id] = pair
        problems.extend(found)
    if not pairs:
        why = f" (line {problems[0].line}: {problems[0].reason})" if problems else ""
        raise InputError(f'{path}: no pair to score{why}; give JSON Lines of {{"id", "reference", "candidate"}}')
    return list(pairs.values()), problems


def read_training(path: Path, evaluated: set[str]) -> tuple[list[Pair], list[Problem]]:
    """The training references of a file with {"id", "reference", "healthy"?} per line.

    A case of an evaluated id is left out, as a problem. InputError where none is left.
    """
    pairs, problems = read_pairs(path)
    kept = [pair for pair in pairs if pair.id not in evaluated and pair.reference is not None]
    problems = [problem for problem in problems if problem.kind != "failed"]
    for pair in pairs:
        if pair.id in evaluated:
            reason = f"training case {pair.id} is also evaluated; left out of the training references"
            problems.append(Problem(pair.line, pair.id, "train_and_test", reason, skipped=True))
    if not kept:
        raise InputError(f"{path}: no training reference that is not also evaluated; give other cases")
    return kept, problems
