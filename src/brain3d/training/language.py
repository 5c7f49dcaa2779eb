"""Pretraining the embedded model's language model: reports after the sketch of the patient they describe."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor, nn
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, PreTrainedTokenizerFast

from brain3d.model.loss import report_loss
from brain3d.training.bank import Bank
from brain3d.training.cells import CELL_FEATURES, SKETCH_FEATURES, describe_truth, draw_index, sketches
from brain3d.training.said import said_scores

CELL_NOISE, MOST_DOUBT = 0.05, 0.3
SPECIAL = ("<pad>", "<eos>", "<bos>", "<image>")
FINDING_WORDS = [
    "left",
    "right",
    "bilateral",
    "both",
    "midline",
    "hemisphere",
    "hemispheres",
    "sides",
    "frontal",
    "parietal",
    "temporal",
    "occipital",
    "insula",
    "insular",
    "deep",
    "grey",
    "basal",
    "ganglia",
    "thalamus",
    "corpus",
    "callosum",
    "callosal",
    "periventricular",
    "cerebellum",
    "cerebellar",
    "brainstem",
    "high",
    "low",
    "mixed",
    "bright",
    "dark",
    "hyperintense",
    "hypointense",
    "isointense",
    "heterogeneous",
    "increased",
    "reduced",
    "similar",
    "close",
    "no",
    "not",
    "none",
    "without",
    "absent",
    "mild",
    "slight",
    "moderate",
    "severe",
    "marked",
    "extensive",
    "mildly",
    "slightly",
    "moderately",
    "severely",
    "markedly",
    "extensively",
    "multiple",
    "lesion",
    "lesions",
    "normal",
    "unremarkable",
]


def build_tokenizer(texts: list[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE tokenizer over `texts`, small enough that common words are one token each."""
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=core,
        pad_token="<pad>",
        eos_token="<eos>",
        bos_token="<bos>",
        clean_up_tokenization_spaces=False,
    )


def finding_weights(tokenizer: PreTrainedTokenizerFast, weight: float) -> Tensor:
    """A weight for every token of the vocabulary: `weight` for words that carry findings, else 1."""
    table = torch.ones(len(tokenizer))
    for token, index in tokenizer.get_vocab().items():
        if token.replace("Ġ", "").lower() in FINDING_WORDS:
            table[index] = weight
    return table


def encode_reports(tokenizer: PreTrainedTokenizerFast, reports: list[str], prompt: str) -> tuple[Tensor, Tensor]:
    """Ids (B, L) of prompt + report + end, right-padded, and labels with -100 on prompt and padding."""
    start = tokenizer(prompt)["input_ids"]
    ends = [tokenizer(r, add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id] for r in reports]
    width = len(start) + max(len(e) for e in ends)
    ids = torch.full((len(ends), width), tokenizer.pad_token_id)
    labels = torch.full((len(ends), width), -100)
    for row, end in enumerate(ends):
        ids[row, : len(start) + len(end)] = torch.tensor(start + end)
        labels[row, len(start) : len(start) + len(end)] = torch.tensor(end)
    return ids, labels


class Sketch(nn.Module):
    """Sketches (B, K, F) -> a soft prompt (B, K, d); every box has a place of its own. Used in pretraining only."""

    def __init__(self, boxes: int, hidden: int) -> None:
        super().__init__()
        self.content = nn.Linear(SKETCH_FEATURES, hidden)
        self.place = nn.Parameter(torch.randn(boxes, hidden) * 0.3)

    def forward(self, cells: Tensor) -> Tensor:
        return self.content(cells) + self.place


class LanguageTask:
    """Next-token loss on reports, the findings' words weighted, after a noisy sketch."""

    def __init__(
        self,
        config: Gemma3TextConfig,
        tokenizer: PreTrainedTokenizerFast,
        prompt: str,
        grid: tuple[int, int, int],
        train: Bank,
        held_out: Bank,
        batch: int,
        seed: int,
        finding_weight: float,
        phrasing: int | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.phrasing = phrasing
        boxes = grid[0] * grid[1] * grid[2]
        self.module = nn.ModuleDict(
            {"language": Gemma3ForCausalLM(config), "sketch": Sketch(boxes, config.hidden_size)}
        )
        self.tokenizer, self.prompt = tokenizer, prompt
        self.train, self.held_out, self.batch, self.seed = train, held_out, batch, seed
        self.sketches, self.held_out_sketches = sketches(train, grid), sketches(held_out, grid)
        self.weights = finding_weights(tokenizer, finding_weight)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return [{"params": list(self.module.parameters())}]

    def _loss(self, cells: Tensor, reports: list[str], weighted: bool) -> Tensor:
        language: Any = self.module["language"]
        ids, labels = (tensor.to(language.device) for tensor in encode_reports(self.tokenizer, reports, self.prompt))
        prefix = self.module["sketch"](cells.to(language.device))
        embeds = torch.cat([prefix, language.get_input_embeddings()(ids)], dim=1)
        logits = language(inputs_embeds=embeds).logits[:, prefix.shape[1] :]
        return report_loss(logits, labels, self.weights.to(ids.device)[ids] if weighted else None)

    def _batch(
        self, bank: Bank, known: Tensor, index: np.ndarray, flip: np.ndarray, seed: int
    ) -> tuple[Tensor, list[str]]:
        reports = [
            describe_truth(bank, int(i), bool(f), seed + k if self.phrasing is None else self.phrasing)
            for k, (i, f) in enumerate(zip(index, flip, strict=True))
        ]
        return known[index, flip.astype(int)].float(), reports

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        self.module.train()
        rng = np.random.default_rng([self.seed, step])
        index, flip = draw_index(rng, len(self.train), self.batch)
        known, reports = self._batch(self.train, self.sketches, index, flip, int(rng.integers(1 << 40)))
        return self._loss(unsure(known, rng), reports, weighted=True), {}

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On unseen phantoms: the loss over all words and with the findings' words weighted, and what is written."""
        self.module.eval()
        index = np.arange(min(200, len(self.held_out)))
        flip = index % 2 == 1
        cells, reports = self._batch(self.held_out, self.held_out_sketches, index, flip, 7)
        return {
            "loss": float(self._loss(cells, reports, weighted=False)),
            "weighted": float(self._loss(cells, reports, weighted=True)),
            **said_scores(self._written(cells), [self.held_out.truths[i] for i in index], flip),
        }

    def _written(self, cells: Tensor) -> list[str]:
        language: Any = self.module["language"]
        start = torch.tensor([self.tokenizer(self.prompt)["input_ids"]]).expand(len(cells), -1).to(language.device)
        embeds = torch.cat(
            [self.module["sketch"](cells.to(language.device)), language.get_input_embeddings()(start)], dim=1
        )
        ids = language.generate(inputs_embeds=embeds, max_new_tokens=140, do_sample=False)
        return list(self.tokenizer.batch_decode(ids, skip_special_tokens=True))


def unsure(known: Tensor, rng: np.random.Generator) -> Tensor:
    """A sketch (B, K, SKETCH_FEATURES) as a tower would give it: noise on the boxes, the case no longer certain."""
    cells, case = known.tensor_split([CELL_FEATURES], dim=-1)
    noise = torch.from_numpy(rng.standard_normal(cells.shape, dtype=np.float32))
    doubt = torch.from_numpy(rng.uniform(0, MOST_DOUBT, (len(case), 1, 1))).float()
    guess = torch.from_numpy(rng.random((len(case), 1, case.shape[-1]), dtype=np.float32))
    return torch.cat([cells + CELL_NOISE * noise, case * (1 - doubt) + guess * doubt], dim=-1)
