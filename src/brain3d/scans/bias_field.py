"""The slope that a receiving coil lays over a head, found in the brightness itself and divided out.

A coil's field multiplies the image, so in the logarithm it is added; over a head most of it is a plane. That plane is
fitted to the logarithm of all tissue, with Tukey's weights, so that fluid and lesions have little say. A field that is
itself such a plane changes the fit by itself and nothing else, and so leaves no trace. Curved fields are left: terms of
a higher order follow the anatomy and the lesions as much as the coil (docs/preprocessing.md).
"""

from __future__ import annotations

import numpy as np

TUKEY = 2.0  # in robust deviations: what lies further from the plane has no say
ROUNDS = 4
RIDGE = 1e-9  # so that tissue in a single slice has a plane too
LEAST_VOXELS = 100
STEP = 2  # every second voxel upwards and forwards is enough for a plane
FLOOR = 0.05  # of the median: the logarithm takes nothing darker
MOST_DARK = 0.1  # of the tissue at or below the background: more, and brightness is no product of tissue and coil


def slope_of(values: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """The plane in the logarithm of brightness: (3,) per half extent of the grid along superior, anterior, right.

    Args:
        values: (N,), brightness above the background where `inside` is true.
        inside: (D, H, W), the tissue.

    The mirror image's slope is the same with the last sign changed, to the last bit: every sum runs over pairs of
    voxels across the middle. Zero where there is too little tissue, or where much of it is no brighter than background.
    """
    if values.size < LEAST_VOXELS or np.mean(values <= 0) > MOST_DARK:
        return np.zeros(3)
    level = float(np.median(values))
    brightness = np.ones(inside.shape)
    brightness[inside] = np.maximum(values / level, FLOOR)
    logs = np.log(brightness[::STEP, ::STEP])
    up, front, right = _axes(inside.shape)
    up, front, inside = up[::STEP], front[:, ::STEP], inside[::STEP, ::STEP]
    plane = np.zeros(4)
    for _ in range(ROUNDS):
        rest = logs - _plane(plane, up, front, right)
        plane = _fitted(logs, _weights(rest, inside), up, front, right)
    return plane[1:]


def without_slope(values: np.ndarray, inside: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The values (N,) inside the mask (D, H, W) with `slope_of`'s plane divided out; its middle stays as it is."""
    up, front, right = _axes(inside.shape)
    field = _plane(np.array([0.0, *slope]), up, front, right)
    return np.asarray(values * np.exp(-field[inside]))


def _axes(shape: tuple[int, ...]) -> list[np.ndarray]:
    """The places along each axis, -1 to 1, that broadcast to the grid; exactly opposite about its middle."""
    axes = [(np.arange(n) - (n - 1) / 2) / max((n - 1) / 2, 0.5) for n in shape]
    return [axis.reshape([-1 if k == place else 1 for k in range(3)]) for place, axis in enumerate(axes)]


def _plane(plane: np.ndarray, up: np.ndarray, front: np.ndarray, right: np.ndarray) -> np.ndarray:
    return np.asarray((plane[0] + plane[1] * up + plane[2] * front) + plane[3] * right)


def _weights(rest: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Tukey's biweight of what the plane leaves (Beaton and Tukey, Technometrics 16, 1974); zero outside."""
    values = rest[inside]
    middle = np.median(values)
    scale = TUKEY * 1.4826 * float(np.median(np.abs(values - middle))) + 1e-9
    return np.where(inside, np.clip(1 - ((rest - middle) / scale) ** 2, 0, None) ** 2, 0.0)


def _fitted(logs: np.ndarray, weights: np.ndarray, up: np.ndarray, front: np.ndarray, right: np.ndarray) -> np.ndarray:
    """The weighted least squares plane (4,): level, and slope along each axis."""
    even = [np.ones(1), up, front]
    both, apart = _pairs(weights)
    normal = np.empty((4, 4))
    target = np.empty(4)
    both_logs, apart_logs = _pairs(weights * logs)
    for i, one in enumerate(even):
        target[i] = (both_logs * one).sum()
        normal[i, 3] = normal[3, i] = (apart * one * right).sum()
        for j, other in enumerate(even):
            normal[i, j] = (both * one * other).sum()
    normal[3, 3] = (both * right * right).sum()
    target[3] = (apart_logs * right).sum()
    # Solved by elimination, which keeps signs apart to the last bit where a singular value decomposition does not.
    return np.asarray(np.linalg.solve(normal + RIDGE * np.trace(normal) * np.eye(4), target))


def _pairs(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum and difference of image and mirror image: the same, and the negative, of what the mirror image has."""
    mirrored = image[..., ::-1]
    return image + mirrored, image - mirrored
