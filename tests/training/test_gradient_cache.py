"""Gradients of a batch in chunks are those of the batch in one piece; with negatives of other processes too."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from brain3d.training.gradient_cache import Encoder, gather, gradient_cached
from brain3d.training.losses import LogitScale, Pairs, info_nce, sigmoid_loss

COUNT, WIDTH = 12, 6


def parts(dropout: float = 0.0) -> nn.ModuleDict:
    torch.manual_seed(0)
    image = nn.Sequential(nn.Linear(WIDTH, 16), nn.GELU(), nn.Dropout(dropout), nn.Linear(16, 8))
    return nn.ModuleDict({"image": image, "text": nn.Linear(WIDTH, 8), "scale": LogitScale()})


def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(COUNT, WIDTH, generator=generator), torch.randn(COUNT, WIDTH, generator=generator)


def both_losses(scale: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    paired = Pairs(torch.eye(COUNT), torch.zeros(COUNT, COUNT, dtype=torch.bool))

    def loss(texts: Tensor, images: Tensor) -> Tensor:
        factor, bias = scale()
        return info_nce(images, texts, paired, factor) + 0.1 * sigmoid_loss(images, texts, paired, factor, bias)

    return loss


def gradients(model: nn.Module) -> dict[str, Tensor]:
    return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("chunk", [1, 5, 12])
def test_chunks_give_the_gradient_of_the_whole_batch(chunk: int) -> None:
    images, texts = inputs()
    whole, cached = parts(), parts()
    expected = both_losses(whole["scale"])(whole["text"](texts), whole["image"](images))
    expected.backward()
    found = gradient_cached(
        [Encoder(cached["text"], texts.split(chunk)), Encoder(cached["image"], images.split(chunk))],
        both_losses(cached["scale"]),
    )
    assert float(found) == pytest.approx(float(expected.detach()), rel=1e-6)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(cached)[name], gradient, atol=1e-5, rtol=1e-5)


def test_dropout_is_replayed() -> None:
    """With the same chunks in one graph and the same random numbers, gradients are equal, dropout or not."""
    images, texts = inputs()
    whole, cached = parts(dropout=0.5), parts(dropout=0.5)
    torch.manual_seed(5)
    embedded = [torch.cat([whole[k](c) for c in x.split(5)]) for k, x in (("text", texts), ("image", images))]
    both_losses(whole["scale"])(*embedded).backward()
    follows = torch.rand(3)
    torch.manual_seed(5)
    gradient_cached(
        [Encoder(cached["text"], texts.split(5)), Encoder(cached["image"], images.split(5))],
        both_losses(cached["scale"]),
    )
    assert torch.equal(torch.rand(3), follows)
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(cached)[name], gradient, atol=1e-5, rtol=1e-5)


def test_an_encoder_that_learns_nothing_runs_once_and_a_factor_scales_the_gradient() -> None:
    images, texts = inputs()
    whole, cached = parts(), parts()
    for model in (whole, cached):
        model["text"].requires_grad_(False)
    calls = []

    def frozen(chunk: Tensor) -> Tensor:
        calls.append(len(chunk))
        return cached["text"](chunk)

    both_losses(whole["scale"])(whole["text"](texts), whole["image"](images)).backward()
    encoders = [Encoder(frozen, texts.split(4), learns=False), Encoder(cached["image"], images.split(4))]
    gradient_cached(encoders, both_losses(cached["scale"]), factor=0.25)
    assert calls == [4, 4, 4]
    assert gradients(cached).keys() == gradients(whole).keys()
    for name, gradient in gradients(whole).items():
        torch.testing.assert_close(gradients(cached)[name], gradient / 4, atol=1e-6, rtol=1e-5)


def test_gathering_in_one_process_gives_back_what_was_given() -> None:
    embeddings = torch.randn(3, 4, requires_grad=True)
    assert gather(embeddings) is embeddings


def one_of_two(rank: int, folder: str) -> None:
    """A process with half of the batch: gathers, and keeps the gradients that DistributedDataParallel would average."""
    model, (images, texts) = parts(), inputs()
    half = slice(rank * COUNT // 2, (rank + 1) * COUNT // 2)
    loss = both_losses(model["scale"])
    value = gradient_cached(
        [Encoder(model["text"], texts[half].split(4)), Encoder(model["image"], images[half].split(4))],
        lambda own_texts, own_images: loss(gather(own_texts), gather(own_images)),
    )
    found = gradients(model)
    for gradient in found.values():
        dist.all_reduce(gradient)
        gradient /= 2
    torch.save({"loss": value, "gradients": found}, f"{folder}/{rank}.pt")


def meet(rank: int, folder: str) -> None:
    """Both leave together, with nothing left that holds the group: gloo may abort a process whose partner has gone."""
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    one_of_two(rank, folder)
    dist.barrier()
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_reckon_what_one_does(tmp_path: Path) -> None:
    mp.spawn(meet, args=(str(tmp_path),), nprocs=2)
    whole, (images, texts) = parts(), inputs()
    expected = both_losses(whole["scale"])(whole["text"](texts), whole["image"](images))
    expected.backward()
    for rank in range(2):
        found = torch.load(tmp_path / f"{rank}.pt", weights_only=True)
        assert float(found["loss"]) == pytest.approx(float(expected.detach()), abs=1e-5)
        for name, gradient in gradients(whole).items():
            torch.testing.assert_close(found["gradients"][name], gradient, atol=1e-5, rtol=1e-4)
