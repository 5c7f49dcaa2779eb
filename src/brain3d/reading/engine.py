"""What a `Reader` asks of a model, and the model that answers it. The only module of reading that needs torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from brain3d.reading.models import Identity
from brain3d.scans.types import InputError, VolumeSpec

if TYPE_CHECKING:
    import torch

    from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor

DEVICES = ("auto", "cpu", "cuda")
MAX_SEED = 2**63 - 1  # what every generator of random numbers takes
Features = Any  # what an engine knows of one volume, handed back to it as it came


@dataclass(frozen=True)
class Decoding:
    """How words are chosen. Greedy unless `do_sample`; then `temperature` and `seed` decide."""

    max_new_tokens: int = 192
    do_sample: bool = False
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise InputError(f"max_new_tokens {self.max_new_tokens}: a report needs at least one")
        if not 0 <= self.seed <= MAX_SEED:
            raise InputError(f"seed {self.seed}: give a whole number from 0 to {MAX_SEED}")
        if self.do_sample and not self.temperature > 0:
            raise InputError(f"temperature {self.temperature}: must be above zero; for greedy decoding do not sample")

    def to_dict(self) -> dict[str, Any]:
        """The settings as a report states them."""
        shared = {"max_new_tokens": self.max_new_tokens, "seed": self.seed}
        if self.do_sample:
            return {"decoding": "sampling", "temperature": self.temperature, **shared}
        return {"decoding": "greedy", **shared}


@dataclass(frozen=True)
class Written:
    """A generated text; `complete` is False where it was cut at the most tokens allowed."""

    text: str
    complete: bool = True


class Engine(Protocol):
    """A model as a reader sees it: arrays in, words and arrays out. Volumes are (1, D, H, W) on `spec`."""

    @property
    def identity(self) -> Identity:
        """Name, version, hash."""

    @property
    def spec(self) -> VolumeSpec:
        """The grid of the volumes."""

    def settings(self) -> dict[str, Any]:
        """What a report's `generation` says of the model's side: prompt, device, dtype."""

    def encode(self, volumes: Sequence[np.ndarray]) -> list[Features]:
        """What the model sees of each volume; a volume's features do not depend on the others."""

    def write(self, features: Sequence[Features], decoding: Decoding) -> list[Written]:
        """The text for each volume."""

    def score(self, features: Features, text: str, beside: str | None = None) -> float:
        """The log-probability that the model gives to `text`, with its end, as the report of one volume.

        `beside` another text, of its opening alone: through the first token that the other does not share.
        """

    def visual_tokens(self, volumes: Sequence[np.ndarray]) -> np.ndarray:
        """(B, K, d) float32: what the language model is given."""

    def evidence(self, volume: np.ndarray) -> np.ndarray | None:
        """Probability of a lesion at every voxel (D, H, W) float32; None for a model without that head."""


def pick_device(device: str) -> torch.device:
    """ "auto" is a CUDA GPU where there is one, else the CPU. InputError for one that is not there."""
    import torch

    if device not in DEVICES:
        raise InputError(f"device {device!r}: give {', '.join(DEVICES)}")
    if device == "cuda" and not torch.cuda.is_available():
        raise InputError("device cuda: this machine has no CUDA GPU that torch can use; give --device cpu or auto")
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)


def patches_to_voxels(
    patches: np.ndarray, shape: tuple[int, int, int], size: Sequence[int], stride: Sequence[int]
) -> np.ndarray:
    """Values per patch (D', H', W') as a map (D, H, W): linear between their centres, constant beyond."""
    from scipy import ndimage

    axes = [(np.arange(n) - (width - 1) / 2) / step for n, width, step in zip(shape, size, stride, strict=True)]
    grid = np.meshgrid(*axes, indexing="ij")
    return np.asarray(ndimage.map_coordinates(patches, grid, order=1, mode="nearest"), dtype=np.float32)


@contextmanager
def _quiet() -> Iterator[None]:
    """No bars and no advice from transformers meanwhile; errors are raised, not logged."""
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


class ModelEngine:
    """A Brain3D model with its processor on a device; float32."""

    def __init__(
        self,
        model: Brain3DForConditionalGeneration,
        processor: Brain3DProcessor,
        identity: Identity,
        device: torch.device,
    ) -> None:
        self.model = model.eval().to(device)
        self.processor = processor
        self.device = device
        self._identity = identity

    @classmethod
    def from_folder(cls, folder: Path, identity: Identity, device: torch.device, given: str) -> ModelEngine:
        """Load a complete model folder. InputError, naming it as `given`, where it cannot be a model."""
        from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor

        try:
            with _quiet():
                model, info = Brain3DForConditionalGeneration.from_pretrained(
                    folder, output_loading_info=True, local_files_only=True
                )
                processor = Brain3DProcessor.from_pretrained(folder)
        except Exception as error:  # each file's library raises what it likes; all of it means a damaged folder
            reason = (str(error).strip() or type(error).__name__).split("\n")[0].replace(str(folder), "the folder")
            raise InputError(f"{given}: cannot be loaded ({reason}); download or export it again") from error
        wrong = sorted([*info["missing_keys"], *info["unexpected_keys"], *map(str, info["mismatched_keys"])])
        if wrong:
            raise InputError(
                f"{given}: the weights are not those that its config.json describes ({len(wrong)} differ, "
                f"first {wrong[0]}); download or export it again"
            )
        return cls(model, processor, identity, device)

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def spec(self) -> VolumeSpec:
        return self.model.config.volume_spec()

    def settings(self) -> dict[str, Any]:
        dtype = str(self.model.dtype).removeprefix("torch.")
        return {"prompt": self.processor.prompt, "device": self.device.type, "dtype": dtype}

    def encode(self, volumes: Sequence[np.ndarray]) -> list[Features]:
        """The visual tokens (K, d) of each volume.

        One at a time: attention over every patch of a volume is large, and the last bits of a row depend on the
        batch that it is in.
        """
        import torch

        rows = self.processor(volumes)["pixel_values"].split(1)
        with torch.inference_mode():
            return [self.model.get_image_features(row.to(self.device)).pooler_output[0] for row in rows]

    def write(self, features: Sequence[Features], decoding: Decoding) -> list[Written]:
        import torch

        if not decoding.do_sample:
            return self._generate(torch.stack(list(features)), decoding)
        # One at a time, each from the seed, so that company in a batch does not change what is drawn.
        return [self._generate(row[None], decoding)[0] for row in features]

    def score(self, features: Features, text: str, beside: str | None = None) -> float:
        """Teacher-forced, alone in its batch and unpadded; the float32 log-probabilities are summed in float64."""
        import torch

        inputs = self.processor(reports=[text])
        ids = inputs["input_ids"].to(self.device)
        wanted = ids[0, len(self.processor.prefix_ids()) :]
        with torch.inference_mode():
            logits = self.model(
                input_ids=ids,
                attention_mask=inputs["attention_mask"].to(self.device),
                image_features=features[None],
                logits_to_keep=len(wanted) + 1,
            ).logits[0, :-1]
            each = logits.float().log_softmax(dim=-1).gather(1, wanted[:, None])
            return float(each[: self._opening(text, beside)].double().sum())

    def _opening(self, text: str, beside: str | None) -> int | None:
        """How many tokens `text` has through the first that is another in `beside`; None for all."""
        if beside is None:
            return None
        own, other = (self.processor(reports=[words])["input_ids"][0].tolist() for words in (text, beside))
        shared = next((k for k, (a, b) in enumerate(zip(own, other, strict=False)) if a != b), len(own))
        return shared + 1 - len(self.processor.prefix_ids())

    def visual_tokens(self, volumes: Sequence[np.ndarray]) -> np.ndarray:
        return np.stack([row.float().cpu().numpy() for row in self.encode(volumes)])

    def evidence(self, volume: np.ndarray) -> np.ndarray | None:
        import torch

        config = self.model.config
        if not config.evidence_head:
            return None
        with torch.inference_mode():
            tokens = self.model.model.encode(torch.from_numpy(volume)[None].to(self.device))
            patches = self.model.model.evidence(tokens)[0].float().sigmoid().cpu().numpy()
        size = (config.depth_patch_size, config.patch_size, config.patch_size)
        stride = (config.depth_stride, config.patch_size, config.patch_size)
        return patches_to_voxels(patches, config.volume_shape, size, stride)

    def _generate(self, features: torch.Tensor, decoding: Decoding) -> list[Written]:
        import torch

        inputs = self.processor(batch_size=len(features))
        ids = inputs["input_ids"].to(self.device)
        tokenizer = self.processor.tokenizer
        sampling = (
            {"do_sample": True, "temperature": decoding.temperature} if decoding.do_sample else {"do_sample": False}
        )
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), torch.inference_mode():
            torch.manual_seed(decoding.seed)
            rows = self.model.generate(
                input_ids=ids,
                attention_mask=inputs["attention_mask"].to(self.device),
                image_features=features,
                max_new_tokens=decoding.max_new_tokens,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
                **sampling,
            )
        ended = (rows[:, ids.shape[1] :] == tokenizer.eos_token_id).any(dim=1).tolist()
        texts = self.processor.decode(rows.cpu())
        return [Written(text, done) for text, done in zip(texts, ended, strict=True)]
