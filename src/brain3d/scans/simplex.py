"""The least value of a function of a few numbers, by the simplex method of Nelder and Mead (Comput. J. 7, 1965)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

Point = tuple[float, ...]
MOST_STEPS = 200


def least_point(function: Callable[[Point], float], simplex: Sequence[Point], near: float, alike: float) -> Point:
    """Where the function is least, sought from the N + 1 corners of a simplex in N dimensions.

    The search ends where every other corner is within `near` of the best one in each coordinate and its value within
    `alike` of the best, or after `MOST_STEPS`.
    """
    corners = _in_order([(function(point), point) for point in simplex])
    for _ in range(MOST_STEPS):
        if _has_ended(corners, near, alike):
            break
        corners = _in_order(_moved(function, corners))
    return corners[0][1]


def _in_order(corners: list[tuple[float, Point]]) -> list[tuple[float, Point]]:
    return sorted(corners, key=lambda corner: corner[0])


def _has_ended(corners: list[tuple[float, Point]], near: float, alike: float) -> bool:
    (least, best), *others = corners
    return all(
        abs(value - least) <= alike and all(abs(x - at) <= near for x, at in zip(point, best, strict=True))
        for value, point in others
    )


def _moved(function: Callable[[Point], float], corners: list[tuple[float, Point]]) -> list[tuple[float, Point]]:
    """The corners with the worst one moved through the middle of the others, or all but the best drawn towards it."""
    *kept, (worst_value, worst) = corners
    middle = tuple(sum(coordinates) / len(kept) for coordinates in zip(*(point for _, point in kept), strict=True))

    def tried(share: float) -> tuple[float, Point]:
        """The point that lies so many times as far beyond the middle as the worst one lies before it."""
        point = tuple((1 + share) * at - share * x for at, x in zip(middle, worst, strict=True))
        return function(point), point

    reflected = tried(1.0)
    if reflected[0] < kept[0][0]:
        expanded = tried(2.0)
        return [*kept, expanded if expanded[0] < reflected[0] else reflected]
    if reflected[0] < kept[-1][0]:
        return [*kept, reflected]
    if reflected[0] < worst_value:
        contracted = tried(0.5)
        if contracted[0] <= reflected[0]:
            return [*kept, contracted]
    else:
        contracted = tried(-0.5)
        if contracted[0] < worst_value:
            return [*kept, contracted]
    best = kept[0][1]
    drawn = [tuple(at + 0.5 * (x - at) for at, x in zip(best, point, strict=True)) for _, point in corners[1:]]
    return [kept[0], *((function(point), point) for point in drawn)]
