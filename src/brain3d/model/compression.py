"""From thousands of tower tokens to the few that the language model is given."""

from __future__ import annotations

import math

import torch
from torch import nn

from brain3d.model.configuration_brain3d import Brain3DConfig

LEAST_AMOUNT = 0.02  # patches: what is less counts as none


class ContextPooling(nn.Module):
    """A summary of the whole head: the tokens that matter, all tokens, and where those that matter lie.

    Attention pooling (arXiv 1802.04712) with bounded weights: every token is scored, and its weight grows with the
    square of the score's sigmoid, so that tokens that surely matter count alike, whether few or many, and hundreds
    that surely do not count for nothing. The weights' moments over the grid are the soft counterpart of a lesion's
    place, as in a spatial softmax (arXiv 1504.00702): a transformer keeps places in a corner of its features that
    nothing makes it show, and on which side a lesion lies must not be left to that.
    """

    def __init__(self, hidden_size: int, token_grid: tuple[int, int, int], amounts: int = 0) -> None:
        super().__init__()
        self.score = nn.Linear(hidden_size, 1)
        self.amounts = nn.Linear(hidden_size, amounts) if amounts else None
        if self.amounts is not None:
            nn.init.constant_(self.amounts.bias, -5.0)  # most patches hold nothing
            self.prior = nn.Parameter(torch.zeros(math.prod(token_grid), amounts))
        self.token_grid = token_grid

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, h) -> (B, 2h + CONTEXT_MOMENTS): weighted mean, mean, moments; and, with A amounts, their totals
        and shares, AMOUNT_FEATURES * A + 1 numbers more."""
        scores = self.score(tokens).float().squeeze(-1)
        weights = (2 * nn.functional.logsigmoid(scores)).softmax(dim=1)
        mean = (weights[..., None].to(tokens.dtype) * tokens).sum(1)
        parts = [mean, tokens.mean(1), self.moments(scores, weights).to(tokens.dtype)]
        if self.amounts is not None:
            amounts = self.measure(tokens)
            parts += [part(scores, amounts).to(tokens.dtype) for part in (self.totals, self.shares)]
        return torch.cat(parts, dim=1)

    def measure(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, h) -> (B, N, A): logits of the share of each patch that each amount fills.

        Every place has a prior of its own: what a token shows is a lesion, and whether that lies left or in a frontal
        lobe is first a matter of the place. Without it a linear reading told left from right no better than chance.
        """
        assert self.amounts is not None
        return self.amounts(tokens).float() + self.prior.float()

    def totals(self, scores: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
        """Scores (B, N) and logits of amounts (B, N, A) -> (B, 5 * A): how much of each the head holds.

        Every patch says which share of it each amount fills; a report's findings (which side, which regions, how much
        edema) are thresholds on sums of these. Of the tokens that matter, so that the doubt of hundreds of others
        does not add up: left of the middle, right of it, and all; then of all tokens whatever they matter: each the
        logarithm of a sum in patches. Last, where between left (-1) and right (1) the middle of each amount lies.
        """
        across = self.places(scores.device)[:, 2:]
        left = 0.5 - across.sign() / 2
        shares = amounts.sigmoid()
        mattering = scores.sigmoid().square()[..., None] * shares
        sums = [(mattering * left).sum(1), (mattering * (1 - left)).sum(1), mattering.sum(1), shares.sum(1)]
        centre = (mattering * across).sum(1) / (sums[2] + LEAST_AMOUNT)
        return torch.cat([torch.cat(sums, dim=1).add(LEAST_AMOUNT).log(), centre], dim=1)

    def shares(self, scores: torch.Tensor, amounts: torch.Tensor) -> torch.Tensor:
        """Scores (B, N) and logits of amounts (B, N, A) -> (B, A + 1): each amount as a share of the lesion, which is
        the first two together, left and right; and the place of the lesion's middle from left (-1) to right (1).

        A report's thresholds are on shares; from logarithms of sums that range over decades a projector learned them
        less exactly.
        """
        mattering = scores.sigmoid().square()[..., None] * amounts.sigmoid()
        lesion = mattering[..., :2].sum(-1, keepdim=True)
        total = lesion.sum(1) + LEAST_AMOUNT
        middle = (lesion * self.places(scores.device)[:, 2:]).sum(1) / total
        return torch.cat([mattering.sum(1) / total, middle], dim=1)

    def places(self, device: torch.device) -> torch.Tensor:
        """(N, 3): where each token lies, from -1 to 1 along D, H, W. No buffer: an unsaved one is not restored."""
        axes = [torch.linspace(-1, 1, n) if n > 1 else torch.zeros(1) for n in self.token_grid]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, 2).to(device)

    def moments(self, scores: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Scores and weights (B, N) -> (B, CONTEXT_MOMENTS).

        The highest score; the logarithm of how many tokens matter; the share right of the middle less the share
        left of it; mean and standard deviation of the place along D, H and W, in half extents of the grid.
        """
        places = self.places(scores.device)
        amount = scores.sigmoid().square().sum(1, keepdim=True).log()
        lateral = weights @ places[:, 2:].sign()
        mean = weights @ places
        spread = (weights @ places.square() - mean.square()).clamp(min=1e-6).sqrt()
        return torch.cat([scores.amax(1, keepdim=True), amount, lateral, mean, spread], dim=1)


class GridCompression(nn.Module):
    """Pools boxes of the token grid: each visual token is one place in the head.

    With an even number of boxes across, no box reaches over the midline: a token is left or right, not both.
    "mean_max" sets the box's maximum beside its mean, so that a small bright lesion is not averaged away. With
    `context` every token also carries, the same in each, a summary of the whole head.
    """

    def __init__(
        self,
        token_grid: tuple[int, int, int],
        grid_size: tuple[int, int, int],
        reduce: str,
        context: ContextPooling | None = None,
    ) -> None:
        super().__init__()
        self.token_grid = token_grid
        self.grid_size = grid_size
        self.with_maximum = reduce == "mean_max"
        self.context = context

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, D' * H' * W', h) -> (B, gd * gh * gw, c): means, maxima where wanted, the context where there is one."""
        grid = tokens.transpose(1, 2).unflatten(2, self.token_grid)
        pooled = nn.functional.adaptive_avg_pool3d(grid, self.grid_size)
        if self.with_maximum:
            pooled = torch.cat([pooled, nn.functional.adaptive_max_pool3d(grid, self.grid_size)], dim=1)
        boxes = pooled.flatten(2).transpose(1, 2)
        if self.context is None:
            return boxes
        return torch.cat([boxes, self.context(tokens)[:, None].expand(-1, boxes.shape[1], -1)], dim=2)


class SequenceCompression(nn.Module):
    """The published system's compression: adaptive average pooling over flattened tokens (arXiv 2602.22098).

    A token covers a run of whole axial slices, left and right together; kept for comparison.
    """

    def __init__(self, num_tokens: int) -> None:
        super().__init__()
        self.num_tokens = num_tokens

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, h) -> (B, K, h)."""
        return nn.functional.adaptive_avg_pool1d(tokens.transpose(1, 2), self.num_tokens).transpose(1, 2)


class PerceiverLayer(nn.Module):
    """Queries attend to the tokens, then pass through an MLP; both residual, norms first."""

    def __init__(self, hidden_size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query_norm = nn.LayerNorm(hidden_size)
        self.query = nn.Linear(hidden_size, hidden_size)
        self.key_value = nn.Linear(hidden_size, 2 * hidden_size)
        self.output = nn.Linear(hidden_size, hidden_size)
        self.mlp_norm = nn.LayerNorm(hidden_size)
        self.expand = nn.Linear(hidden_size, 2 * hidden_size)
        self.contract = nn.Linear(2 * hidden_size, hidden_size)

    def forward(self, queries: torch.Tensor, tokens: torch.Tensor) -> torch.Tensor:
        """(B, K, h) and (B, N, h) -> (B, K, h)."""
        key, value = self.key_value(tokens).chunk(2, dim=-1)
        attended = nn.functional.scaled_dot_product_attention(
            self._split(self.query(self.query_norm(queries))), self._split(key), self._split(value)
        )
        queries = queries + self.output(attended.transpose(1, 2).flatten(2))
        return queries + self.contract(nn.functional.gelu(self.expand(self.mlp_norm(queries))))

    def _split(self, states: torch.Tensor) -> torch.Tensor:
        return states.unflatten(2, (self.heads, -1)).transpose(1, 2)


class PerceiverCompression(nn.Module):
    """Learned queries with cross-attention, in the manner of the Perceiver (arXiv 2103.03206)."""

    def __init__(self, hidden_size: int, num_tokens: int, layers: int, heads: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(num_tokens, hidden_size) * hidden_size**-0.5)
        self.token_norm = nn.LayerNorm(hidden_size)
        self.layers = nn.ModuleList([PerceiverLayer(hidden_size, heads) for _ in range(layers)])
        self.norm = nn.LayerNorm(hidden_size)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """(B, N, h) -> (B, K, h)."""
        tokens = self.token_norm(tokens)
        queries = self.queries.expand(tokens.shape[0], -1, -1)
        for layer in self.layers:
            queries = layer(queries, tokens)
        return self.norm(queries)


def build_compression(config: Brain3DConfig) -> nn.Module:
    """The module that `config.compression` names: (B, N, h) -> (B, K, `config.compressed_size`)."""
    hidden, count = config.vision_config.hidden_size, config.num_visual_tokens
    assert count is not None
    if config.compression == "grid":
        context = ContextPooling(hidden, config.token_grid, config.context_amounts) if config.grid_context else None
        return GridCompression(config.token_grid, config.grid_size, config.grid_reduce, context)
    if config.compression == "sequence":
        return SequenceCompression(count)
    return PerceiverCompression(hidden, count, config.perceiver_layers, config.perceiver_heads)
