"""How words are chosen, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brain3d.scans.types import InputError

MAX_SEED = 2**63 - 1  # what every generator of random numbers takes
RULES = ("repetition_penalty", "no_repeat_ngram_size", "min_new_tokens")


@dataclass(frozen=True)
class Decoding:
    """How words are chosen. Greedy unless `do_sample`; then `temperature`, `top_p` and `seed` decide.

    The last three hold for both: a factor against words that are there already (arXiv 1909.05858), how long a run of
    words may not come again (0: any may), and before which word there is no end. The prompt does not count.
    """

    max_new_tokens: int = 192
    do_sample: bool = False
    temperature: float = 1.0
    seed: int = 0
    top_p: float = 1.0
    repetition_penalty: float = 1.0
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens {self.max_new_tokens}: a report needs at least one")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed {self.seed}: give a whole number from 0 to {MAX_SEED}")
        if self.do_sample and not self.temperature > 0:
            raise InputError(f"temperature {self.temperature}: must be above zero; for greedy decoding do not sample")

    @property
    def is_plain(self) -> bool:
        """Whether the likeliest word is taken each time, and none is ruled out."""
        return not self.do_sample and not self._rules()

    def to_dict(self) -> dict[str, Any]:
        """The settings as a report states them."""
        shared = {"max_new_tokens": self.max_new_tokens, "seed": self.seed, **self._rules()}
        if self.do_sample:
            nucleus = {} if self.top_p == 1 else {"top_p": self.top_p}
            return {"decoding": "sampling", "temperature": self.temperature, **nucleus, **shared}
        return {"decoding": "greedy", **shared}

    def to_generate(self) -> dict[str, Any]:
        """The settings as arguments of transformers' `generate`; the seed is not one of them.

        A rule that does not hold is None: left out, it would be that of the model's generation config.
        """
        drawn = {"temperature": self.temperature, "top_p": self.top_p} if self.do_sample else {}
        return {
            "max_new_tokens": self.max_new_tokens,
            "do_sample": self.do_sample,
            "num_beams": 1,
            **drawn,
            **dict.fromkeys(RULES),
            **self._rules(),
        }

    def _rules(self) -> dict[str, Any]:
        """What the words must keep to, where it is anything."""
        rules = {name: getattr(self, name) for name in RULES}
        rules["min_new_tokens"] = min(self.min_new_tokens, self.max_new_tokens)
        return {name: value for name, value in rules.items() if value != getattr(Decoding, name)}


@dataclass(frozen=True)
class Written:
    """A generated text; `complete` is False where it was cut at the most tokens allowed."""

    text: str
    complete: bool = True
