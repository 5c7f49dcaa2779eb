"""The paper's stages: contrastive grounding, projector warm-up, LoRA specialisation (arXiv 2602.22098)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import Tensor, nn

from brain3d.model.modeling_brain3d import LORA_TARGET_PATTERN, Brain3DForConditionalGeneration
from brain3d.model.processing_brain3d import Brain3DProcessor
from brain3d.model.quiet import quiet
from brain3d.training.bank import Bank
from brain3d.training.cells import describe_truth, draw_index, sampling_odds, sketches
from brain3d.training.features import compressed_features
from brain3d.training.language import Sketch, finding_weights
from brain3d.training.losses import contrastive_loss
from brain3d.training.recipe import Stage
from brain3d.training.said import said_scores

if TYPE_CHECKING:
    from brain3d.training.run import Run

CHANGED_VIEWS = 1  # of every phantom that the tower never saw, with other intensities


def add_lora(model: Brain3DForConditionalGeneration, stage: Stage) -> nn.Module:
    """LoRA on the language model's attention, and nowhere else. Returns the wrapped model."""
    config = LoraConfig(
        r=stage.lora_rank, lora_alpha=stage.lora_alpha, lora_dropout=0.05, target_modules=LORA_TARGET_PATTERN
    )
    with quiet():  # PEFT asks for a name that transformers has renamed
        return get_peft_model(model, config)


def set_trainable(model: nn.Module, trainable: tuple[str, ...]) -> list[dict[str, Any]]:
    """Freeze everything but the named parts; returns parameter groups with the paper's learning-rate factors."""
    groups: dict[str, list[nn.Parameter]] = {
        "projector": [],
        "vis_scale": [],
        "patch_embedding": [],
        "compression": [],
        "lora": [],
    }
    for name, parameter in model.named_parameters():
        part = _part_of(name)
        wanted = part in trainable or (part == "vis_scale" and "projector" in trainable)
        parameter.requires_grad_(wanted)
        if wanted:
            groups[part].append(parameter)
    factors = {"projector": 1.0, "vis_scale": 2.0, "patch_embedding": 0.2, "compression": 1.0, "lora": 1.0}
    return [{"params": p, "lr_scale": factors[part]} for part, p in groups.items() if p]


def _part_of(name: str) -> str:
    if name.endswith("vis_scale"):
        return "vis_scale"
    if ".lora_" in name:
        return "lora"
    if ".projector." in name:
        return "projector"
    if ".compression." in name and ".context.score." not in name:
        return "compression"
    return "patch_embedding" if ".patch_embedding." in name else "frozen"


class AlignmentTask:
    """A stage over the composite model. Features come from the cache unless the patch embedding learns."""

    def __init__(
        self,
        stage: Stage,
        model: Brain3DForConditionalGeneration,
        processor: Brain3DProcessor,
        train: Bank,
        held_out: Bank,
        features: Tensor,
        held_out_features: Tensor,
        seed: int,
        finding_weight: float,
        anchors: tuple[Tensor, Tensor] | None = None,
        mirror: float = 0.5,
    ) -> None:
        torch.manual_seed(seed)
        self.stage, self.processor, self.seed, self.mirror = stage, processor, seed, mirror
        self.module: Any = add_lora(model, stage) if "lora" in stage.trainable else model
        self.groups = set_trainable(self.module, stage.trainable)
        self.train, self.held_out = train, held_out
        self.features, self.held_out_features = features, held_out_features
        self.anchors = anchors
        self.odds = sampling_odds(train.truths, focused=True) if stage.focus > 0 else None
        self.cached = "patch_embedding" not in stage.trainable
        self.weights = finding_weights(processor.tokenizer, finding_weight)

    @property
    def composite(self) -> Brain3DForConditionalGeneration:
        return self.module.get_base_model() if "lora" in self.stage.trainable else self.module

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    def parameter_groups(self) -> list[dict[str, Any]]:
        return self.groups

    def _compressed(self, bank: Bank, features: Tensor, index: np.ndarray, views: np.ndarray) -> Tensor:
        """Tokens of phantoms in one of `compressed_features` views each: even ones as they are, odd ones mirrored."""
        if self.cached:
            return features[index, views].float().to(self.device)
        images = torch.from_numpy(bank.images[index]).float()[:, None]
        flip = torch.from_numpy(views % 2 == 1)[:, None, None, None, None]
        images = torch.where(flip, images.flip(-1), images)
        return self.composite.model.compress(self.composite.model.encode(images.to(self.device)))

    def _reports(self, bank: Bank, index: np.ndarray, flip: np.ndarray, seed: int) -> list[str]:
        """Narratives, each phrased in its own way, or all from the stage's `phrasing`.

        Greedy decoding takes the likeliest word. Where one finding can be said in many ways and another in few, the
        doubt between the two is split among the ways of the first, and the second is written though it is less likely.
        """
        same = self.stage.phrasing
        return [
            describe_truth(bank, int(i), bool(f), seed + k if same is None else same)
            for k, (i, f) in enumerate(zip(index, flip, strict=True))
        ]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        self.module.train()
        rng = np.random.default_rng([self.seed, step])
        index, flip = draw_index(rng, len(self.train), self.stage.batch, self.odds, self.mirror)
        reports = self._reports(self.train, index, flip, int(rng.integers(1 << 40)))
        views = flip + 2 * rng.integers(self.features.shape[1] // 2, size=len(index))
        compressed = self._compressed(self.train, self.features, index, views)
        if self.stage.task == "grounding":
            return self._grounding(compressed, reports, self._same(self.train, index, flip))
        if self.stage.task == "anchoring":
            return self._anchoring(compressed, 0, index, flip), {}
        text = self._captioning(compressed, reports)
        if self.anchors is None:
            return text, {}
        apart = self._anchoring(compressed, 0, index, flip)
        return text + self.stage.anchor * apart, {"text": float(text.detach()), "distance": float(apart.detach())}

    def _same(self, bank: Bank, index: np.ndarray, flip: np.ndarray) -> Tensor:
        findings = []
        for i, f in zip(index, flip, strict=True):
            truth = bank.truths[i].mirrored() if f else bank.truths[i]
            findings.append(truth.findings())
        return torch.tensor([[a == b for b in findings] for a in findings], device=self.device)

    def _grounding(self, compressed: Tensor, reports: list[str], same: Tensor) -> tuple[Tensor, dict[str, float]]:
        images, texts = self._embed(compressed, reports)
        similarity = F.normalize(images, dim=-1) @ F.normalize(texts, dim=-1).T
        hits = same[torch.arange(len(same)), similarity.argmax(1)].float().mean()
        return contrastive_loss(images, texts, same, self.stage.temperature), {"retrieval": float(hits)}

    def _anchoring(self, compressed: Tensor, split: int, index: np.ndarray, flip: np.ndarray) -> Tensor:
        """Distance of the visual tokens to the soft prompts that the language model was pretrained on."""
        assert self.anchors is not None
        target = self.anchors[split][index, flip.astype(int)].to(self.device)
        return F.mse_loss(self.composite.model.project(compressed), target) / target.var()

    def _embed(self, compressed: Tensor, reports: list[str]) -> tuple[Tensor, Tensor]:
        images = self.composite.model.project(compressed).mean(1)
        tokens = [self.processor.tokenizer(r, add_special_tokens=False)["input_ids"] for r in reports]
        width = max(len(t) for t in tokens)
        ids = torch.tensor([t + [self.processor.tokenizer.pad_token_id] * (width - len(t)) for t in tokens]).to(
            self.device
        )
        kept = torch.tensor([[1.0] * len(t) + [0.0] * (width - len(t)) for t in tokens], device=self.device)
        with torch.no_grad():
            states = self.composite.model.language_model(input_ids=ids).last_hidden_state
        return images, (states * kept[..., None]).sum(1) / kept.sum(1, keepdim=True)

    def _captioning(self, compressed: Tensor, reports: list[str]) -> Tensor:
        inputs = {name: tensor.to(self.device) for name, tensor in self.processor(reports=reports).items()}
        return self.module(
            input_ids=inputs["input_ids"],
            compressed_tokens=compressed,
            labels=inputs["labels"],
            loss_weights=self.weights.to(self.device)[inputs["input_ids"]],
        ).loss

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Grounding: loss and retrieval. Captioning: loss, and what the generated reports of unseen phantoms say."""
        self.module.eval()
        index = np.arange(min(200, len(self.held_out)))
        flip = index % 2 == 1
        reports = self._reports(self.held_out, index, flip, 7)
        compressed = self._compressed(self.held_out, self.held_out_features, index, flip.astype(int))
        if self.stage.task == "grounding":
            loss, figures = self._grounding(compressed, reports, self._same(self.held_out, index, flip))
            return {"loss": float(loss), **figures}
        figures = {"loss": float(self._captioning(compressed, reports))}
        if self.anchors is not None:
            figures["distance"] = float(self._anchoring(compressed, 1, index, flip))
        return {**figures, **self._generated(compressed, index, flip)}

    def _generated(self, compressed: Tensor, index: np.ndarray, flip: np.ndarray) -> dict[str, float]:
        inputs = {name: tensor.to(self.device) for name, tensor in self.processor(batch_size=len(index)).items()}
        ids = self.composite.generate(**inputs, compressed_tokens=compressed, max_new_tokens=140, do_sample=False)
        return said_scores(self.processor.decode(ids), [self.held_out.truths[i] for i in index], flip)


def assemble(run: Run) -> Brain3DForConditionalGeneration:
    """The composite model from the pretrained parts, its projector fresh."""
    from brain3d.training.run import composite_config

    tokenizer = run.tokenizer()
    torch.manual_seed(run.recipe.seed)
    model = Brain3DForConditionalGeneration(composite_config(run.recipe.model, tokenizer))
    volumes, language = run.result("volumes"), run.result("language")
    tower = {k.removeprefix("tower."): v for k, v in volumes.items() if k.startswith("tower.")}
    text = {k.removeprefix("language.model."): v for k, v in language.items() if k.startswith("language.model.")}
    model.model.vision_tower.load_state_dict(tower)
    compression = {k.removeprefix("compression."): v for k, v in volumes.items() if k.startswith("compression.")}
    model.model.compression.load_state_dict(compression)
    suspected = {k.removeprefix("evidence."): v for k, v in volumes.items() if k.startswith("evidence.")}
    model.model.language_model.load_state_dict(text)
    evidence: Any = model.model.evidence_head
    evidence.load_state_dict(suspected)
    context: Any = model.model.compression.context
    if context is not None:  # the evidence scores the tokens, also of a tower that was trained before it did
        context.score.load_state_dict(suspected)
    from brain3d.model.projector import initial_scale

    model.model.projector.vis_scale.data.fill_(initial_scale(model.config, text["embed_tokens.weight"]))
    return model


def after_stages(
    run: Run, model: Brain3DForConditionalGeneration, stages: list[Stage]
) -> Brain3DForConditionalGeneration:
    """Load what finished alignment stages learned, LoRA merged into the language model."""
    from safetensors.torch import load_file

    for stage in stages:
        weights = load_file(run.folder / stage.name / f"weights-{stage.steps}.safetensors")
        if "lora" in stage.trainable:
            wrapped: Any = add_lora(model, stage)
            wrapped.load_state_dict(weights)
            model = wrapped.merge_and_unload()
        else:
            model.load_state_dict(weights)
    return model


def alignment_stages(run: Run) -> list[Stage]:
    """The stages over the composite model, in order."""
    return [s for s in run.recipe.stages if s.task in ("grounding", "anchoring", "captioning")]


@torch.no_grad()
def soft_prompts(run: Run, bank: Bank) -> Tensor:
    """The soft prompt (N, 2, K, d) of every phantom's sketch and its mirror image, as the language model knew it."""
    grid, weights = run.recipe.model.grid, run.result("language")
    sketch = Sketch(grid[0] * grid[1] * grid[2], run.recipe.model.text_hidden)
    sketch.load_state_dict({k.removeprefix("sketch."): v for k, v in weights.items() if k.startswith("sketch.")})
    return sketch(sketches(bank, grid).float())


def build_alignment(run: Run, stage: Stage) -> AlignmentTask:
    """The task of an alignment stage, starting from the stages before it."""
    stages = alignment_stages(run)
    before = stages[: stages.index(stage)]
    model = after_stages(run, assemble(run), before)
    cache = run.folder / "features"
    train = run.aligned
    features = compressed_features(model.model, train, cache, "train", changed=CHANGED_VIEWS)
    held_out = compressed_features(model.model, run.held_out, cache, "held-out")
    if not before:
        flat = features.float().flatten(0, 2)
        model.model.set_feature_statistics(flat.mean(0), flat.std(0).clamp(min=1e-3))
    processor = Brain3DProcessor.from_config(run.tokenizer(), model.config)
    anchored = stage.task == "anchoring" or stage.anchor > 0
    anchors = (soft_prompts(run, train), soft_prompts(run, run.held_out)) if anchored else None
    sizes, seed = run.recipe.model, run.recipe.seed
    return AlignmentTask(
        stage, model, processor, train, run.held_out, features, held_out, seed, sizes.finding_weight, anchors
    )
