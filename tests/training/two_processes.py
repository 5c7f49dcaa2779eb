"""Run by torchrun in `test_processes.py`: one recipe, whatever number of processes it was started in."""

import sys
from pathlib import Path

from accelerate import PartialState

from brain3d.training.run import run_recipe

if __name__ == "__main__":
    run_recipe(Path(sys.argv[1]), sys.argv[2:])
    print(f"trained in {PartialState().num_processes} processes")
