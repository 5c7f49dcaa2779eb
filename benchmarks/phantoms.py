"""How fast phantoms are drawn at training resolution, on one core."""

from __future__ import annotations

import time

import numpy as np
import torch

import machine
from brain3d.phantom.anatomy import load_anatomy
from brain3d.phantom.draw import TRAINING_GRID, draw_phantom
from brain3d.phantom.volume import training_example
from brain3d.scans import VolumeSpec


def main() -> None:
    parser = machine.parser(__doc__)
    parser.add_argument("--count", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    torch.set_num_threads(1)
    start = time.perf_counter()
    load_anatomy()
    anatomy = time.perf_counter() - start
    draw_phantom(arguments.seed)  # warm the allocator

    spec = VolumeSpec(spacing_mm=TRAINING_GRID.spacing_mm[0])
    drawing = examples = 0.0
    for seed in range(arguments.seed, arguments.seed + arguments.count):
        start = time.perf_counter()
        phantom = draw_phantom(seed)
        drawn = time.perf_counter()
        training_example(phantom, spec, np.random.default_rng(seed))
        drawing, examples = drawing + drawn - start, examples + time.perf_counter() - start

    d, h, w = TRAINING_GRID.shape
    grid = f"{d}x{h}x{w} voxels of {spec.spacing_mm:g} mm"
    rows = [
        (f"phantoms drawn ({grid})", arguments.count / drawing, "/s/core", "target >= 4"),
        ("and cut to training examples", arguments.count / examples, "/s/core", ""),
        ("anatomy, once for each process", anatomy, "s", ""),
    ]
    machine.show(rows, arguments.json)


if __name__ == "__main__":
    main()
