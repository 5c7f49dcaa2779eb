"""The splits of a cohort's studies: those that its data set brings along, or by one of the procedures."""

from __future__ import annotations

from collections.abc import Sequence

from brain3d.cohort import splits
from brain3d.cohort.candidates import Candidate
from brain3d.cohort.splits import person_of
from brain3d.scans.types import InputError


def check_given(candidates: Sequence[Candidate], allow_shared: bool) -> None:
    """InputError where only some studies bring a split along, or one subject two and that is not allowed."""
    given = [candidate for candidate in candidates if candidate.split is not None]
    if given and len(given) < len(candidates):
        without = next(candidate.id for candidate in candidates if candidate.split is None)
        raise InputError(
            f"{len(given)} of {len(candidates)} studies bring a split along, and {without} does not; give all or none"
        )
    seen: dict[str, Candidate] = {}
    for candidate in given:
        first = seen.setdefault(person_of(candidate.subject), candidate)
        if first.split != candidate.split and not allow_shared:
            raise InputError(
                f"subject {candidate.subject} is in two splits: {first.id} in {first.split}, {candidate.id} in "
                f"{candidate.split}; give one, or --allow-shared-subjects"
            )


def assign(candidates: Sequence[Candidate], procedure: str, ratios: Sequence[float], seed: int) -> list[str]:
    """The split of each candidate: the one that it brings along, or that of its subject by the procedure."""
    if candidates[0].split is not None:
        return [str(candidate.split) for candidate in candidates]
    people = [person_of(candidate.subject) for candidate in candidates]
    published = procedure == splits.PUBLISHED
    stratum = splits.published_stratum if published else splits.side_stratum
    several: dict[str, list[str]] = {}  # in the order of the candidates, which counts in the published procedure
    for person, candidate in zip(people, candidates, strict=True):
        several.setdefault(person, []).append(stratum(candidate.report or "", candidate.healthy))
    strata = {person: found[0] if published else splits.joined_stratum(found) for person, found in several.items()}
    if published:
        assigned = splits.published_splits(strata, seed)
    elif procedure == splits.HASHED:
        assigned = splits.hashed_splits(list(strata), ratios, seed)
    else:
        assigned = splits.stratified_splits(strata, ratios, seed)
    return [assigned[person] for person in people]
