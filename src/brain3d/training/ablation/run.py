"""`brain3d ablate`: every arm from every seed, each run once, then the table."""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from tqdm import tqdm

from brain3d.scans import InputError
from brain3d.training.ablation.arms import STAGES, Arm, View, arm_named
from brain3d.training.ablation.kept import finished, is_finished, keep_run, references, steps_of
from brain3d.training.ablation.recipe import Ablation, read_ablation
from brain3d.training.bank import claim
from brain3d.training.checkpoint import naming_a_full_disk, write_durably
from brain3d.training.locks import alone_in

LOG, TRAINING = "log.jsonl", "train.jsonl"


def ablate(path: Path, overrides: list[str], only: Sequence[str] = ()) -> Path:
    """Do all runs of a recipe that are not finished yet (or those of the arms `only`), then write the table.

    A run that was stopped starts again from its last stage; finished ones are kept. Returns the output's folder. Raises
    InputError for a recipe that cannot be run, and for an output that another recipe, or another process, works in.
    """
    recipe = read_ablation(path, overrides)
    unknown = [name for name in only if name not in recipe.arms]
    if unknown:
        raise InputError(f"{path}: no arm {unknown[0]!r}; its arms: {', '.join(recipe.arms)}")
    folder = Path(recipe.output)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{recipe.output}: cannot be made ({error.strerror}); give another output") from error
    with naming_a_full_disk(folder), alone_in(folder):
        claim(folder / "ablation.json", recipe.facts(), "runs")
        _run_all(recipe, [arm_named(name) for name in recipe.arms if not only or name in only])
        _write_results(recipe, folder)
    return folder


def _run_all(recipe: Ablation, arms: Sequence[Arm]) -> None:
    left = [(arm, seed) for seed in recipe.seeds for arm in arms if not is_finished(recipe, arm.name, seed)]
    if not left:
        return
    from brain3d.training.ablation.shared import prepare_shared
    from brain3d.training.ablation.tokens import encode_all

    shared = prepare_shared(recipe)
    folders = encode_all(recipe, shared, [arm for arm in arms if any(arm == other for other, _ in left)])
    _write_lines(Path(recipe.output) / TRAINING, references(recipe, shared, "train"))
    count, steps = len(arms) * len(recipe.seeds), sum(steps_of(recipe, arm.name) for arm, _ in left)
    with tqdm(total=steps, unit="step", smoothing=0.02) as bar:
        if recipe.jobs > 1:
            _run_together(recipe, left, folders, count, bar)
            return
        for number, (arm, seed) in enumerate(left, count - len(left) + 1):
            bar.set_description(f"run {number} of {count}: {arm.name}, seed {seed}")
            begun = bar.n
            _run_one(recipe, arm, seed, shared, folders[arm.view], bar.update)
            bar.update(begun + steps_of(recipe, arm.name) - bar.n)  # stages that were there already


def _run_together(
    recipe: Ablation, left: Sequence[tuple[Arm, int]], folders: dict[View, Path], count: int, bar: Any
) -> None:
    """Several runs at a time, each in a process of its own, which share the cores."""
    from torch import get_num_threads

    context, threads = multiprocessing.get_context("spawn"), max(1, get_num_threads() // recipe.jobs)
    done = count - len(left)
    bar.set_description(f"{done} of {count} runs finished")
    with ProcessPoolExecutor(recipe.jobs, context, initializer=_begin_process, initargs=(recipe, threads)) as pool:
        try:
            jobs = {pool.submit(_job, arm, seed, folders[arm.view], os.getpid()): arm for arm, seed in left}
            for number, job in enumerate(as_completed(jobs), done + 1):
                job.result()
                _write_log(recipe)
                bar.set_description(f"{number} of {count} runs finished")
                bar.update(steps_of(recipe, jobs[job].name))
        finally:
            pool.shutdown(cancel_futures=True)


_OF_PROCESS: dict[str, Any] = {}  # the recipe and what its runs share, in a process that does runs


def _begin_process(recipe: Ablation, threads: int) -> None:
    import torch

    from brain3d.training.ablation.shared import read_shared

    torch.set_num_threads(threads)
    _OF_PROCESS.update(recipe=recipe, shared=read_shared(recipe))


def _job(arm: Arm, seed: int, tokens: Path, parent: int) -> None:
    def tick() -> None:
        if os.getppid() != parent:  # killed: nobody waits for this run any more
            os._exit(1)

    _run_one(_OF_PROCESS["recipe"], arm, seed, _OF_PROCESS["shared"], tokens, tick, log=False)


def _run_one(
    recipe: Ablation, arm: Arm, seed: int, shared: Any, tokens: Path, tick: Callable[[], object], log: bool = True
) -> None:
    from brain3d.training.ablation.aligning import run_arm
    from brain3d.training.ablation.tokens import read_tokens

    began, used = time.monotonic(), time.process_time()
    train, test = (
        read_tokens(tokens, arm, name, len(bank)) for name, bank in (("train", shared.train), ("test", shared.test))
    )
    trained = run_arm(recipe, arm, seed, shared, train, test, tick)
    texts = zip(references(recipe, shared, "test"), trained.plain, trained.mirrored, strict=True)
    pairs = [{**reference, "candidate": text, "mirrored": turned} for reference, text, turned in texts]
    result = {
        "arm": arm.name,
        "seed": seed,
        "steps": {name: recipe.stage(name).steps for name in STAGES if name in arm.stages},
        "loss": {name: round(cost.loss, 5) for name, cost in trained.stages.items()},
        "stage_cpu_seconds": {name: round(cost.cpu_seconds, 1) for name, cost in trained.stages.items()},
        "taken": list(trained.taken),
        "cpu_seconds": round(
            time.process_time() - used + sum(trained.stages[name].cpu_seconds for name in trained.taken), 1
        ),
        "seconds": round(time.monotonic() - began, 1),
    }
    keep_run(recipe, arm, seed, pairs, result)
    if log:
        _write_log(recipe)


def _write_log(recipe: Ablation) -> None:
    _write_lines(Path(recipe.output) / LOG, [kept.result for kept in finished(recipe)])


def _write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    text = "".join(json.dumps(row) + "\n" for row in rows)
    write_durably(path, lambda file: file.write(text.encode()))


def _write_results(recipe: Ablation, folder: Path) -> None:
    from brain3d.training.ablation.figure import draw
    from brain3d.training.ablation.scores import score_runs
    from brain3d.training.ablation.table import table

    result = score_runs(finished(recipe), folder / TRAINING)
    result["recipe"] = recipe.facts()
    result["steps"] = {name: steps_of(recipe, name) for name in recipe.arms}
    write_durably(folder / "table.json", lambda file: file.write(json.dumps(result, indent=1).encode() + b"\n"))
    write_durably(folder / "table.md", lambda file: file.write(table(result).encode()))
    write_durably(folder / "ablation.png", lambda file: draw(result).save(file, format="PNG"))


def describe_arms(path: Path, overrides: list[str]) -> str:
    """The arms of a recipe, a line each: what differs, its stages and steps, and which seeds are finished."""
    recipe = read_ablation(path, overrides)
    lines = []
    for name in recipe.arms:
        done = [seed for seed in recipe.seeds if is_finished(recipe, name, seed)]
        state = f"{len(done)} of {len(recipe.seeds)} seeds finished"
        lines.append(f"{name:<20} {steps_of(recipe, name):>5} steps  {state:<24}  {arm_named(name).title}")
    return "\n".join(lines) + "\n"
