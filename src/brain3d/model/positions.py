"""Where a token lies: the pretrained table of the plane with one for depth that starts at zero, or a fixed signal."""

from __future__ import annotations

import torch
from torch import nn


def resample_positions(table: torch.Tensor, rows: int, columns: int) -> torch.Tensor:
    """Resamples a square table of 2-D positions to another grid, as SigLIP does for other image sizes.

    Args:
        table: (side * side, hidden), rows before columns.
        rows, columns: the grid wanted, in patches.

    Returns:
        (rows * columns, hidden), bicubic, corners not aligned; the table itself where the grid is the same.

    Raises:
        ValueError: the table is not square.
    """
    count, hidden = table.shape
    side = round(count**0.5)
    if side * side != count:
        raise ValueError(f"the position table has {count} rows, not a square ({side} x {side} is {side * side})")
    if (rows, columns) == (side, side):
        return table.clone()
    planes = table.float().reshape(1, side, side, hidden).permute(0, 3, 1, 2)
    resampled = nn.functional.interpolate(planes, size=(rows, columns), mode="bicubic", align_corners=False)
    return resampled.permute(0, 2, 3, 1).reshape(rows * columns, hidden).to(table.dtype)


class VolumePositions(nn.Module):
    """Adds position[h, w] + depth[d] to tokens in (d, h, w) order.

    `plane` (H' * W', hidden) holds the pretrained 2-D table, resampled once; `depth` (D', hidden) starts at
    zero, so that at first every plane looks to the encoder just as the 2-D model's image did.
    """

    def __init__(self, token_grid: tuple[int, int, int], hidden_size: int) -> None:
        super().__init__()
        planes, rows, columns = token_grid
        self.plane = nn.Parameter(torch.empty(rows * columns, hidden_size))
        self.depth = nn.Parameter(torch.empty(planes, hidden_size))
        nn.init.normal_(self.plane, std=hidden_size**-0.5)
        nn.init.zeros_(self.depth)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, D', H' * W', hidden) -> the same with positions added."""
        return patches + self.plane + self.depth[:, None, :]


class PublishedPositions(nn.Module):
    """The published system's position signal (arXiv 2602.22098): fixed, and the pretrained table is not used.

    From -1 to 1 along depth on every channel; along the rows on channel 0 and along the columns on channel 1 besides.
    It is computed where it is needed: nothing of it is stored or learned.
    """

    def __init__(self, token_grid: tuple[int, int, int], hidden_size: int) -> None:
        super().__init__()
        self.token_grid = token_grid
        self.hidden_size = hidden_size

    def signal(self, device: torch.device | str = "cpu") -> torch.Tensor:
        """(D', H' * W', hidden) float32."""
        depth, rows, columns = (torch.linspace(-1, 1, n, device=device) for n in self.token_grid)
        signal = depth[:, None, None, None].repeat(1, len(rows), len(columns), self.hidden_size)
        signal[..., 0] += rows[None, :, None]
        signal[..., 1] += columns[None, None, :]
        return signal.flatten(1, 2)

    def forward(self, patches: torch.Tensor) -> torch.Tensor:
        """(B, D', H' * W', hidden) -> the same with the signal added."""
        return patches + self.signal(patches.device).to(patches.dtype)
