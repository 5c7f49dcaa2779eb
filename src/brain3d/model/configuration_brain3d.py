"""Everything that fixes a Brain3D model's sizes, checked for consistency when it is built."""

from __future__ import annotations

from typing import Any

from transformers import Gemma3TextConfig, PreTrainedConfig, SiglipVisionConfig

from brain3d.scans.types import VolumeSpec

PROMPT = "Generate a radiology report for this brain MRI FLAIR scan. \n"

INFLATIONS = ("average", "center")
COLOURS = ("summed", "averaged")
POSITIONS = ("kept", "published")
PREPROCESSINGS = ("own", "published")
COMPRESSIONS = ("grid", "sequence", "perceiver")
GRID_REDUCTIONS = ("mean", "mean_max")
DEFAULT_VISUAL_TOKENS = 32
CONTEXT_MOMENTS = 9  # numbers that say where in the grid lies what matters
AMOUNT_FEATURES = 6  # numbers for each amount: how much of it there is, where between left and right, which share

PUBLISHED: dict[str, Any] = {
    "preprocessing": "published",
    "volume_shape": (64, 128, 128),
    "spacing_mm": 0.0,
    "depth_patch_size": 2,
    "depth_stride": 1,
    "depth_padding": 1,
    "inflation": "average",
    "colour": "averaged",
    "positions": "published",
    "compression": "sequence",
    "num_visual_tokens": DEFAULT_VISUAL_TOKENS,
}
"""The choices of the published system (arXiv 2602.22098), as fields of `Brain3DConfig`."""


class Brain3DConfig(PreTrainedConfig):
    """Sizes and choices of a Brain3D model; the embedded and the full model differ only in these.

    Args:
        vision_config: the 2-D SigLIP tower (arXiv 2303.15343) that is inflated; a config or a dict.
        text_config: the Gemma 3 language model; a config or a dict.
        preprocessing: how volumes are made: "own" (`scans.prepare`, values in [-1, 1]), or "published"
            (`scans.published_volume`, values in [0, 1]).
        volume_shape: (D, H, W) voxels, growing superior, anterior, right.
        spacing_mm: edge of the isotropic voxel in millimetres; 0 where it follows from the scan, as published.
        depth_patch_size: slices under one patch; in the plane a patch is `vision_config.patch_size` wide.
        depth_stride: slices between neighbouring patches; less than `depth_patch_size` makes them overlap.
        depth_padding: slices of zeros before the first and after the last.
        inflation: "average" spreads the 2-D kernel evenly over depth, "center" puts it on one slice.
        colour: "summed" gives a grey image the 2-D kernel's whole response, "averaged" a third of it.
        positions: "kept" is the 2-D model's table with a learned one for depth; "published" a fixed signal
            (see `positions.PublishedPositions`).
        compression: "grid" pools boxes that keep to one half of the brain; "sequence" pools runs of the
            flattened tokens (arXiv 2602.22098), which mixes left and right; "perceiver" attends with learned
            queries.
        contralateral: each patch is also embedded with the patch at its mirror image's place, by a kernel that
            starts at zero.
        skip_empty: patches that hold nothing but background neither attend nor are attended to.
        grid_size: (gd, gh, gw) boxes for "grid"; gw must be even.
        grid_reduce: "mean", or "mean_max" to set each box's maximum beside its mean (twice the channels).
        grid_context: adds to every token of "grid" an attention-pooled summary of all, and where
            what matters lies (see `compression.ContextPooling`).
        context_amounts: how many quantities are estimated in every patch and summed over the head, for the context.
        num_visual_tokens: K; follows from `grid_size` for "grid", 32 otherwise unless given.
        perceiver_layers, perceiver_heads: depth and heads of "perceiver".
        projector_hidden_size: width between the projector's two layers; the text width unless given.
        vis_scale_init: start of the learned scale; None derives it (see `modeling_brain3d.initial_scale`).
        image_token_id: the placeholder in `input_ids` that visual tokens replace; it may be the first number
            after the vocabulary.
        evidence_head: adds one lesion-evidence logit per uncompressed token.
        feature_standardisation: standardises compressed tokens per channel before the projector, with stored
            mean and standard deviation.
        prompt: the instruction between the visual tokens and the report.

    Raises:
        ValueError: sizes that do not fit together; the message states both numbers.
    """

    model_type = "brain3d"
    sub_configs = {"vision_config": SiglipVisionConfig, "text_config": Gemma3TextConfig}  # noqa: RUF012

    vision_config: Any = None
    text_config: Any = None
    preprocessing: str = "own"
    volume_shape: tuple[int, int, int] = (88, 96, 96)
    spacing_mm: float = 2.0
    depth_patch_size: int = 8
    depth_stride: int = 8
    depth_padding: int = 0
    inflation: str = "average"
    colour: str = "summed"
    positions: str = "kept"
    contralateral: bool = False
    skip_empty: bool = False
    compression: str = "grid"
    grid_size: tuple[int, int, int] = (4, 2, 4)
    grid_reduce: str = "mean"
    grid_context: bool = False
    context_amounts: int = 0
    num_visual_tokens: int | None = None
    perceiver_layers: int = 2
    perceiver_heads: int = 8
    projector_hidden_size: int | None = None
    vis_scale_init: float | None = None
    image_token_id: int = 262_144
    evidence_head: bool = False
    feature_standardisation: bool = False
    prompt: str = PROMPT
    tie_word_embeddings: bool = True

    def __post_init__(self, **kwargs: Any) -> None:
        self.vision_config = _as_config(self.vision_config, SiglipVisionConfig)
        self.text_config = _as_config(self.text_config, Gemma3TextConfig)
        self.volume_shape = _triple("volume_shape", self.volume_shape)
        self.grid_size = _triple("grid_size", self.grid_size)
        if self.projector_hidden_size is None:
            self.projector_hidden_size = self.text_config.hidden_size
        super().__post_init__(**kwargs)
        self._check_choices()
        self._check_patches()
        if self.compression == "grid":
            self._check_grid()
        elif self.num_visual_tokens is None:
            self.num_visual_tokens = DEFAULT_VISUAL_TOKENS
        self._check_tokens()

    @property
    def patch_size(self) -> int:
        """Width of a patch in the plane, in voxels."""
        return int(self.vision_config.patch_size)

    @property
    def token_grid(self) -> tuple[int, int, int]:
        """(D', H', W'): how many patches fit along each axis; none is cut, and only depth is padded."""
        depth, height, width = self.volume_shape
        planes = (depth + 2 * self.depth_padding - self.depth_patch_size) // self.depth_stride + 1
        return planes, height // self.patch_size, width // self.patch_size

    @property
    def num_tower_tokens(self) -> int:
        """N = D' * H' * W', the tokens before compression."""
        planes, rows, columns = self.token_grid
        return planes * rows * columns

    @property
    def compressed_size(self) -> int:
        """Channels of a compressed token, the projector's input."""
        hidden = int(self.vision_config.hidden_size)
        if self.compression != "grid":
            return hidden
        boxes = 2 * hidden if self.grid_reduce == "mean_max" else hidden
        context = 2 * hidden + CONTEXT_MOMENTS
        if self.context_amounts:
            context += AMOUNT_FEATURES * self.context_amounts + 1
        return boxes + (context if self.grid_context else 0)

    def volume_spec(self) -> VolumeSpec:
        """The grid that volumes must be prepared on."""
        return VolumeSpec(shape=self.volume_shape, spacing_mm=self.spacing_mm)

    def _check_choices(self) -> None:
        for name, allowed in (
            ("inflation", INFLATIONS),
            ("colour", COLOURS),
            ("positions", POSITIONS),
            ("preprocessing", PREPROCESSINGS),
            ("compression", COMPRESSIONS),
            ("grid_reduce", GRID_REDUCTIONS),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)!r}, expected one of {', '.join(allowed)}")
        if self.text_config.use_bidirectional_attention:
            raise ValueError("text_config has use_bidirectional_attention true, expected a causal language model")

    def _check_patches(self) -> None:
        depth, height, width = self.volume_shape
        if self.depth_patch_size < 1 or self.depth_stride < 1:
            raise ValueError(
                f"depth_patch_size {self.depth_patch_size} and depth_stride {self.depth_stride} must be >= 1"
            )
        if not 0 <= self.depth_padding < self.depth_patch_size:
            raise ValueError(
                f"depth_padding {self.depth_padding} is not within 0..{self.depth_patch_size - 1}: a patch would "
                f"hold nothing else (depth_patch_size {self.depth_patch_size})"
            )
        if self.depth_patch_size > depth:
            raise ValueError(f"depth_patch_size {self.depth_patch_size} exceeds the volume's depth {depth}")
        if min(height, width) < self.patch_size:
            raise ValueError(f"patch_size {self.patch_size} exceeds the volume's plane ({height}, {width})")

    def _check_grid(self) -> None:
        width, (_, _, columns), (gd, gh, gw) = self.volume_shape[2], self.token_grid, self.grid_size
        if width % (2 * self.patch_size):
            raise ValueError(
                f"volume width {width} is not a multiple of two patches ({2 * self.patch_size}): the middle "
                f"would lie inside a patch ({columns} columns of {self.patch_size})"
            )
        if gw % 2:
            raise ValueError(
                f"grid_size {self.grid_size} has {gw} columns, an odd number: one would mix left and right"
            )
        if any(boxes > tokens for boxes, tokens in zip(self.grid_size, self.token_grid, strict=True)):
            raise ValueError(f"grid_size {self.grid_size} is finer than the token grid {self.token_grid}")
        boxes = gd * gh * gw
        if self.num_visual_tokens not in (None, boxes):
            raise ValueError(
                f"num_visual_tokens is {self.num_visual_tokens}, but grid_size {self.grid_size} makes {boxes}"
            )
        self.num_visual_tokens = boxes

    def _check_tokens(self) -> None:
        hidden = self.vision_config.hidden_size
        vocabulary = self.text_config.vocab_size
        if self.num_visual_tokens is None or not 1 <= self.num_visual_tokens <= self.num_tower_tokens:
            raise ValueError(
                f"num_visual_tokens {self.num_visual_tokens} is not within 1..{self.num_tower_tokens}, "
                f"the number of tokens on the grid {self.token_grid}"
            )
        if self.compression == "perceiver" and hidden % self.perceiver_heads:
            raise ValueError(f"vision hidden size {hidden} is not a multiple of {self.perceiver_heads} heads")
        if not 0 <= self.image_token_id <= vocabulary:
            raise ValueError(f"image_token_id {self.image_token_id} is outside the vocabulary of {vocabulary}")


def _as_config(given: Any, kind: type) -> Any:
    if given is None:
        return kind()
    return kind(**given) if isinstance(given, dict) else given


def _triple(name: str, given: Any) -> tuple[int, int, int]:
    values = tuple(int(value) for value in given)
    if len(values) != 3 or min(values) < 1:
        raise ValueError(f"{name} is {tuple(given)}, expected three sizes >= 1")
    return values[0], values[1], values[2]
