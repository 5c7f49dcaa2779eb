"""How well the mid-sagittal plane is found: phantoms drawn as the patient lay, read through the whole preprocessing.

The true plane of a phantom is the one fitted to its own midline, before mass effect; compared are the angle between
the two planes and their distance at the middle of the brain. Phantoms tilt by up to 8 degrees each way.
"""

from __future__ import annotations

import time

import numpy as np
from tqdm import tqdm

import machine
from brain3d.phantom.cohort import phantom_scan
from brain3d.phantom.draw import Phantom, draw_phantom, head_grid
from brain3d.scans import Volume, VolumeSpec, prepare

SPEC = VolumeSpec(shape=(36, 40, 40), spacing_mm=4.5)
NEAR_MM = 6.0


def true_plane(phantom: Phantom) -> tuple[np.ndarray, np.ndarray]:
    """Unit normal to the right and a point, (superior, anterior, right) mm from the middle of the phantom's grid."""
    distance = phantom.midline_mm.numpy()
    near = np.argwhere((np.abs(distance) < NEAR_MM) & phantom.brain.numpy())
    points = (near - (np.array(distance.shape) - 1) / 2) * np.array(phantom.grid.spacing_mm)
    design = np.column_stack([points, np.ones(len(points))])
    *gradient, constant = np.linalg.lstsq(design, distance[tuple(near.T)], rcond=None)[0]
    length = float(np.linalg.norm(gradient))
    normal, middle = np.array(gradient) / length, points.mean(axis=0)
    return normal, middle - (normal @ middle + constant / length) * normal


def found_plane(volume: Volume) -> tuple[np.ndarray, np.ndarray]:
    """The plane between the volume's two halves, in the same terms: the cohort's affine has its middle at zero."""
    across = volume.affine[:3, 2][::-1]
    middle = volume.affine @ [*[(n - 1) / 2 for n in volume.data.shape[1:]], 1.0]
    return across / np.linalg.norm(across), middle[:3][::-1]


def errors(seed: int, spacing_mm: float) -> tuple[float, float, float, float]:
    """Degrees, millimetres, seconds of preprocessing, and the tilt of the head in degrees."""
    phantom = draw_phantom(seed, grid=head_grid(spacing_mm))
    scan = phantom_scan(phantom)
    start = time.perf_counter()
    volume = prepare(scan, SPEC)
    seconds = time.perf_counter() - start
    (true, point), (found, middle) = true_plane(phantom), found_plane(volume)
    angle = float(np.degrees(np.arccos(np.clip(true @ found, -1, 1))))
    return angle, float(abs((point - middle) @ found)), seconds, float(np.degrees(np.arccos(true[2])))


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--count", type=int, default=100, help="how many phantoms (default: 100)")
    parser.add_argument("--seed", type=int, default=3_000_000, help="of the first phantom")
    parser.add_argument("--spacing", type=float, default=2.0, metavar="MM", help="of the phantoms (default: 2)")
    arguments = parser.parse_args()
    measured = [errors(arguments.seed + i, arguments.spacing) for i in tqdm(range(arguments.count), unit="phantom")]
    angle, distance, seconds, tilt = np.array(measured).T
    rows = [
        ("angle between found and true plane, median", float(np.median(angle)), "degrees", "target < 2"),
        ("angle, 95th percentile", float(np.percentile(angle, 95)), "degrees", "target < 5"),
        ("distance at the brain's middle, median", float(np.median(distance)), "mm", "target < 2"),
        ("distance, 95th percentile", float(np.percentile(distance, 95)), "mm", "target < 5"),
        ("tilt of the heads, median", float(np.median(tilt)), "degrees", ""),
        ("preprocessing", float(np.median(seconds)), "s", ""),
    ]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
