"""Libraries that hold their tongue while something is loaded."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No bars and no advice from transformers meanwhile; errors are raised, not logged."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # between libraries, about each other's next versions
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
