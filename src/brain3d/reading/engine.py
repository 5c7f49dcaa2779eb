"""A Brain3D model as a `Reader` asks it (`protocol.Engine`). The only module of reading that needs torch."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from brain3d.reading.decoding import Decoding, Written
from brain3d.reading.evidence import patches_to_voxels
from brain3d.reading.models import Identity, PublishedSource, weight_bytes
from brain3d.reading.protocol import Features
from brain3d.scans import InputError, Scan, Volume, VolumeSpec, check_method, prepare, published_volume

if TYPE_CHECKING:
    import torch

    from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor
    from brain3d.model.greedy import GreedyDecoder

DEVICES = ("auto", "cpu", "cuda")
PUBLISHED = "published"


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


class ModelEngine:
    """A Brain3D model with its processor on a device; float32, or bfloat16 where it is large and the device a GPU."""

    def __init__(
        self,
        model: Brain3DForConditionalGeneration,
        processor: Brain3DProcessor,
        identity: Identity,
        device: torch.device,
        dtype_reason: str = "",
    ) -> None:
        self.model = model.eval() if model.is_loaded_in_4bit else model.eval().to(device)  # in 4 bits it is there
        self.processor = processor
        self.device = device
        self._identity, self._dtype_reason = identity, dtype_reason
        # How greedy words are written fast, one of `greedy.WAYS`; None: by `generate`, which is faster on a CPU.
        self.fast = "graph" if device.type == "cuda" and not model.is_loaded_in_4bit else None
        self._kept: GreedyDecoder | None = None

    @classmethod
    def from_folder(
        cls,
        folder: Path,
        identity: Identity,
        device: torch.device,
        given: str,
        *,
        quantisation: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ModelEngine:
        """Load a complete model folder; `dtype` None picks one. InputError, naming it as `given`, where it is none.

        `quantisation` "nf4" keeps its language model in 4 bits.
        """
        from brain3d.model import Brain3DForConditionalGeneration, Brain3DProcessor
        from brain3d.model.modeling_brain3d import WHOLE_IN_4_BITS
        from brain3d.model.parts import pick_dtype
        from brain3d.model.quantisation import quantised
        from brain3d.model.quiet import quiet

        picked, reason = pick_dtype(device, weight_bytes(folder))
        dtype = picked if dtype is None else dtype
        settings = quantised(quantisation, dtype, device, WHOLE_IN_4_BITS)
        try:
            with quiet():
                model, info = Brain3DForConditionalGeneration.from_pretrained(
                    folder, dtype=dtype, output_loading_info=True, local_files_only=True, **settings
                )
                processor = Brain3DProcessor.from_pretrained(folder)
        except Exception as error:  # each file's library raises what it likes; all of it means a damaged folder
            told = (str(error).strip() or type(error).__name__).split("\n")[0].replace(str(folder), "the folder")
            raise InputError(f"{given}: cannot be loaded ({told}); download or export it again") from error
        wrong = sorted([*info["missing_keys"], *info["unexpected_keys"], *map(str, info["mismatched_keys"])])
        if wrong:
            raise InputError(
                f"{given}: the weights are not those that its config.json describes ({len(wrong)} differ, "
                f"first {wrong[0]}); download or export it again"
            )
        return cls(model, processor, identity, device, reason)

    @classmethod
    def from_published(
        cls,
        source: PublishedSource,
        identity: Identity,
        device: torch.device,
        *,
        quantisation: str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ModelEngine:
        """Load a checkpoint of the published system, the rest as `from_folder`.

        InputError where it, or a base model, cannot be one.
        """
        from brain3d.model import Brain3DProcessor
        from brain3d.model.parts import pick_dtype
        from brain3d.model.published import load_published

        picked, reason = pick_dtype(device, weight_bytes(source.language))
        model, tokenizer = load_published(
            source.folder,
            source.given,
            vision=source.vision,
            language=source.language,
            dtype=picked if dtype is None else dtype,
            device=device,
            quantisation=quantisation,
        )
        return cls(model, Brain3DProcessor.from_config(tokenizer, model.config), identity, device, reason)

    @property
    def identity(self) -> Identity:
        return self._identity

    @property
    def spec(self) -> VolumeSpec:
        return self.model.config.volume_spec()

    @property
    def compat(self) -> str | None:
        return PUBLISHED if self.model.config.preprocessing == PUBLISHED else None

    @property
    def decoding(self) -> Decoding:
        """As the model's generation_config.json says; what it leaves open is greedy and without rules."""
        stated = self.model.generation_config
        names = [field.name for field in fields(Decoding) if field.name != "seed"]
        given = {name: value for name in names if (value := getattr(stated, name)) is not None}
        return Decoding(**given)

    def settings(self) -> dict[str, Any]:
        from brain3d.model.quantisation import NF4

        dtype = str(self.model.model.projector.linear_1.weight.dtype).removeprefix("torch.")
        compat = {} if self.compat is None else {"compat": self.compat}
        reason = {"dtype_reason": self._dtype_reason} if self._dtype_reason else {}
        bits = {"quantisation": NF4} if self.model.is_loaded_in_4bit else {}
        stated = {"prompt": self.processor.prompt, "device": self.device.type, "dtype": dtype}
        return {**stated, **bits, **reason, **compat}

    def prepare(self, scan: Scan, brain_extraction: str) -> Volume:
        """By the preprocessing of the model's config. The published one removes nothing: InputError where asked to."""
        if self.compat is None:
            return prepare(scan, self.spec, brain_extraction=brain_extraction)
        check_method(brain_extraction)
        if brain_extraction not in ("auto", "none"):
            raise InputError(
                f"brain extraction {brain_extraction}: the published preprocessing removes nothing; leave it out, or "
                "give a scan without a skull"
            )
        volume = published_volume(scan, self.spec.shape)
        step = {"name": "brain_extraction", "asked": brain_extraction, "method": "none"}
        return replace(volume, steps=(step, *volume.steps))

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
        return patches_to_voxels(patches, config.volume_shape, size, stride, (config.depth_padding, 0, 0))

    def _ends(self) -> list[int]:
        """The tokens that end a text: the tokenizer's end of sequence, and what the language model names as one.

        MedGemma names the end of a turn too, and `generate` on it alone stops there.
        """
        named = self.model.generation_config.eos_token_id
        others = [] if named is None else [named] if isinstance(named, int) else list(named)
        return list(dict.fromkeys([self.processor.tokenizer.eos_token_id, *others]))

    def _generate(self, features: torch.Tensor, decoding: Decoding) -> list[Written]:
        """From embeddings, so that the rules on repetition see the new words alone, never the prompt."""
        import torch

        inputs = {name: tensor.to(self.device) for name, tensor in self.processor(batch_size=len(features)).items()}
        ends = self._ends()
        with torch.inference_mode():
            embeds = self.model.model.merge(inputs["input_ids"], features)
            decoder = self._decoder(embeds, decoding)
            if decoder is None:
                rows = self._searched(embeds, inputs["attention_mask"], ends, decoding)
            else:
                rows = decoder(embeds, ends, self.processor.tokenizer.pad_token_id)
        ended = torch.isin(rows, torch.tensor(ends, device=rows.device)).any(dim=1).tolist()
        texts = self.processor.decode(rows.cpu())
        return [Written(text, done) for text, done in zip(texts, ended, strict=True)]

    def _decoder(self, embeds: torch.Tensor, decoding: Decoding) -> GreedyDecoder | None:
        """What writes the likeliest words fast, where nothing else is asked; kept, since a graph takes time to make."""
        from brain3d.model.greedy import GreedyDecoder, Shape, fits, has_rules

        shape = Shape(len(embeds), embeds.shape[1], decoding.max_new_tokens)
        if self.fast is None or not decoding.is_plain or has_rules(self.model.generation_config):
            return None
        if not fits(self.model, shape):
            return None
        if self._kept is None or self._kept.shape != shape:
            self._kept = None  # its memory, before the next one's is taken
            self._kept = GreedyDecoder(self.model, shape, self.fast)
        return self._kept

    def _searched(
        self, embeds: torch.Tensor, attention_mask: torch.Tensor, ends: list[int], decoding: Decoding
    ) -> torch.Tensor:
        """The ids (B, words) by transformers' own `generate`, which knows every rule, and draws lots from the seed."""
        import torch

        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Passing `(repetition_penalty|no_repeat_ngram_size)` with")
            torch.manual_seed(decoding.seed)
            rows: torch.Tensor = self.model.generate(
                inputs_embeds=embeds,
                attention_mask=attention_mask,
                eos_token_id=ends,
                pad_token_id=self.processor.tokenizer.pad_token_id,
                **decoding.to_generate(),
            )
        return rows
