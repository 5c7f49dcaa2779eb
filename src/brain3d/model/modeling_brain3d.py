"""Brain3D: an inflated SigLIP tower whose compressed tokens stand before a causal Gemma 3 language model.

After arXiv 2602.22098. Visual tokens are attended to causally, like text, so that every engine that takes
prompt embeddings decodes alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    Cache,
    Gemma3ForCausalLM,
    Gemma3TextModel,
    GenerationMixin,
    PreTrainedModel,
    SiglipVisionModel,
)
from transformers import initialization as init
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling, ModelOutput
from transformers.utils.generic import can_return_tuple

from brain3d.model.compression import PerceiverCompression, build_compression
from brain3d.model.configuration_brain3d import Brain3DConfig
from brain3d.model.inflation import inflate
from brain3d.model.loss import predicting, report_loss, token_loss
from brain3d.model.projector import Brain3DProjector, FeatureStandardiser, initial_scale
from brain3d.model.tower import Brain3DVisionTower

WHOLE_IN_4_BITS = ("model.vision_tower", "model.compression", "model.projector", "model.evidence_head", "lm_head")
"""What is not quantised where the language model is."""

LORA_TARGET_PATTERN = r"(?:.*\.)?language_model\..*\.[qkvo]_proj"
"""PEFT `target_modules`: the language model's attention only. SigLIP uses the same names in the tower."""


@dataclass
class Brain3DModelOutputWithPast(BaseModelOutputWithPast):
    """As `BaseModelOutputWithPast`, with `image_hidden_states` (B, K, d): the visual tokens, where given."""

    image_hidden_states: torch.Tensor | None = None


@dataclass
class Brain3DCausalLMOutputWithPast(ModelOutput):
    """`loss` (), `logits` (B, L, vocabulary), the cache, and `image_hidden_states` (B, K, d) where given."""

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    cache: Cache | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    image_hidden_states: torch.Tensor | None = None


class Brain3DPreTrainedModel(PreTrainedModel):
    """What both classes share: config, initialisation, and float32 unless another dtype is asked for."""

    config: Brain3DConfig
    config_class = Brain3DConfig
    base_model_prefix = "model"
    main_input_name = "input_ids"
    input_modalities = ("image", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = ["VolumeEmbeddings", "SiglipEncoderLayer", "Gemma3DecoderLayer"]  # noqa: RUF012
    _skip_keys_device_placement = ["cache"]  # noqa: RUF012
    _supports_flash_attn = True
    _supports_sdpa = True
    _supports_attention_backend = True
    is_loaded_in_4bit = False  # what transformers and PEFT ask; set where it is

    @classmethod
    def from_pretrained(cls, *args: Any, dtype: torch.dtype | str = torch.float32, **kwargs: Any) -> Any:
        """As transformers' own, but float32 by default: half precision is many times slower on most CPUs."""
        return super().from_pretrained(*args, dtype=dtype, **kwargs)

    @torch.no_grad()
    def _init_weights(self, module: Any) -> None:
        super()._init_weights(module)
        if isinstance(module, Brain3DProjector):
            for linear in (module.linear_1, module.linear_2):
                init.normal_(linear.weight, std=linear.in_features**-0.5)
            init.constant_(module.vis_scale, initial_scale(self.config))
        elif isinstance(module, FeatureStandardiser):
            init.zeros_(module.mean)
            init.ones_(module.std)
        elif isinstance(module, PerceiverCompression):
            init.normal_(module.queries, std=module.queries.shape[-1] ** -0.5)


class Brain3DModel(Brain3DPreTrainedModel):
    """Tower, compression, projector and language model, without the language modelling head."""

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__(config)
        self.vision_tower = Brain3DVisionTower(config)
        self.compression = build_compression(config)
        self.standardiser = FeatureStandardiser(config.compressed_size) if config.feature_standardisation else None
        self.projector = Brain3DProjector(config)
        self.evidence_head = nn.Linear(config.vision_config.hidden_size, 1) if config.evidence_head else None
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    @classmethod
    def from_parts(
        cls,
        vision_model: SiglipVisionModel,
        language_model: Gemma3ForCausalLM | Gemma3TextModel,
        config: Brain3DConfig,
    ) -> Brain3DModel:
        """Inflates the 2-D tower and copies the language model; the rest starts fresh, in the latter's dtype.

        Raises:
            ValueError: a part's sizes are not those of `config`.
        """
        model = cls._from_config(config, dtype=language_model.dtype)
        model.fill_from_parts(vision_model, language_model)
        return model

    @torch.no_grad()
    def fill_from_parts(
        self, vision_model: SiglipVisionModel, language_model: Gemma3ForCausalLM | Gemma3TextModel
    ) -> None:
        """Puts both parts' weights in place and sets the visual scale from the embedding table."""
        text_model = language_model.model if isinstance(language_model, Gemma3ForCausalLM) else language_model
        for name in ("hidden_size", "vocab_size", "num_hidden_layers"):
            had, wanted = getattr(text_model.config, name), getattr(self.config.text_config, name)
            if had != wanted:
                raise ValueError(f"the language model's {name} is {had}, the config's text_config says {wanted}")
        inflate(vision_model, self.config, self.vision_tower)
        self.language_model.load_state_dict(text_model.state_dict())
        self.projector.vis_scale.fill_(initial_scale(self.config, text_model.embed_tokens.weight))

    def encode(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """Volumes (B, 1, D, H, W) in [-1, 1] -> tower tokens (B, N, hidden) in (d, h, w) order."""
        return self.vision_tower(pixel_values).last_hidden_state

    def compress(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tower tokens (B, N, hidden) -> (B, K, in), not yet standardised; what a feature cache keeps."""
        expected = (self.config.num_tower_tokens, self.config.vision_config.hidden_size)
        if tuple(tokens.shape[1:]) != expected:
            raise ValueError(f"tower tokens have shape {tuple(tokens.shape)}, expected (batch, *{expected})")
        return self.compression(tokens)

    def project(self, compressed: torch.Tensor) -> torch.Tensor:
        """Compressed tokens (B, K, in) -> visual tokens (B, K, d), standardised first where configured."""
        expected = (self.config.num_visual_tokens, self.config.compressed_size)
        if tuple(compressed.shape[1:]) != expected:
            raise ValueError(f"compressed tokens have shape {tuple(compressed.shape)}, expected (batch, *{expected})")
        compressed = compressed.to(self.projector.linear_1.weight.dtype)
        if self.standardiser is not None:
            compressed = self.standardiser(compressed)
        return self.projector(compressed)

    def evidence(self, tokens: torch.Tensor) -> torch.Tensor:
        """Tower tokens (B, N, hidden) -> lesion-evidence logits (B, D', H', W'), one per patch.

        Raises:
            ValueError: the model was configured without the head.
        """
        if self.evidence_head is None:
            raise ValueError("this model has no evidence head: its config has evidence_head false")
        return self.evidence_head(tokens).squeeze(-1).unflatten(1, self.config.token_grid)

    def set_feature_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        """Stores the compressed tokens' mean and standard deviation, each (in,), over a training set.

        Raises:
            ValueError: standardisation is off in the config, or a shape or deviation is wrong.
        """
        if self.standardiser is None:
            raise ValueError("the config has feature_standardisation false: there is nowhere to store statistics")
        self.standardiser.set(mean, std)

    @can_return_tuple
    def get_image_features(self, pixel_values: torch.Tensor) -> BaseModelOutputWithPooling:
        """Volumes (B, 1, D, H, W) -> `last_hidden_state` (B, N, hidden) and `pooler_output` (B, K, d)."""
        tokens = self.encode(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=tokens, pooler_output=self.project(self.compress(tokens)))

    def get_placeholder_mask(self, input_ids: torch.Tensor, image_features: torch.Tensor) -> torch.Tensor:
        """Where visual tokens go: (B, L, 1), true at `image_token_id`.

        Raises:
            ValueError: some row has not exactly as many placeholders as its image has features.
        """
        mask = input_ids == self.config.image_token_id
        batch, count, _ = image_features.shape
        per_row = mask.sum(dim=1)
        if len(input_ids) != batch:
            raise ValueError(f"input_ids hold {len(input_ids)} rows, the image features {batch}")
        if not bool((per_row == count).all()):
            raise ValueError(f"image tokens per row: {per_row.tolist()}, image features per row: {count}")
        return mask.unsqueeze(-1)

    def _visual_tokens(
        self,
        pixel_values: torch.Tensor | None,
        compressed_tokens: torch.Tensor | None,
        image_features: torch.Tensor | None,
    ) -> torch.Tensor | None:
        given = sum(source is not None for source in (pixel_values, compressed_tokens, image_features))
        if given > 1:
            raise ValueError(f"{given} of pixel_values, compressed_tokens and image_features given, expected at most 1")
        if pixel_values is not None:
            return self.get_image_features(pixel_values, return_dict=True).pooler_output
        return image_features if compressed_tokens is None else self.project(compressed_tokens)

    def merge(self, input_ids: torch.Tensor, features: torch.Tensor | None, cache: Cache | None = None) -> torch.Tensor:
        """Ids (B, L) with K placeholders a row and visual tokens (B, K, d) -> embeddings (B, L, d).

        Raises:
            ValueError: placeholders and features do not match.
        """
        known = input_ids.clamp(max=self.config.text_config.vocab_size - 1)  # the placeholder may lie just beyond
        embeds = self.get_input_embeddings()(known)
        if features is not None:
            mask = self.get_placeholder_mask(input_ids, features)
            return embeds.masked_scatter(mask, features.to(embeds))
        begins = cache is None or cache.get_seq_length() == 0
        placeholders = int((input_ids == self.config.image_token_id).sum()) if begins else 0
        if placeholders:
            raise ValueError(f"input_ids hold {placeholders} image tokens, but 0 image features were given")
        return embeds

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        compressed_tokens: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> Brain3DModelOutputWithPast:
        """Replaces the placeholders in `input_ids` by visual tokens and runs the language model, causally.

        Args:
            input_ids: (B, L), K `image_token_id` per row where an image is given.
            pixel_values: (B, 1, D, H, W) in [-1, 1]; or instead one of
            image_features: (B, K, d), `get_image_features(...).pooler_output`, to encode once and ask often;
            compressed_tokens: (B, K, in), `compress(...)`, a feature cache for training the projector.
            attention_mask: (B, L), 0 at padding.
            inputs_embeds: (B, L, d) instead of `input_ids`, already merged; no image may be given with it.
            position_ids, cache, kwargs: as for `Gemma3TextModel`.

        Raises:
            ValueError: placeholders and features do not match, or sources exclude each other.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise ValueError("exactly one of input_ids and inputs_embeds must be given")
        features = self._visual_tokens(pixel_values, compressed_tokens, image_features)
        if input_ids is not None:
            inputs_embeds = self.merge(input_ids, features, cache)
        elif features is not None:
            raise ValueError("inputs_embeds are taken as they are: give the image with input_ids instead")
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=cache,
            **kwargs,
        )
        return Brain3DModelOutputWithPast(
            last_hidden_state=outputs.last_hidden_state,
            cache=outputs.cache,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=features,
        )


class Brain3DForConditionalGeneration(Brain3DPreTrainedModel, GenerationMixin):
    """`Brain3DModel` with a language modelling head tied to the embeddings: a volume in, a report out."""

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}  # noqa: RUF012

    def __init__(self, config: Brain3DConfig) -> None:
        super().__init__(config)
        self.model = Brain3DModel(config)
        self.lm_head = nn.Linear(config.text_config.hidden_size, config.text_config.vocab_size, bias=False)
        self.post_init()

    @classmethod
    def from_parts(
        cls,
        vision_model: SiglipVisionModel,
        language_model: Gemma3ForCausalLM | Gemma3TextModel,
        config: Brain3DConfig,
    ) -> Brain3DForConditionalGeneration:
        """As `Brain3DModel.from_parts`; the head stays tied to the language model's embeddings."""
        model = cls._from_config(config, dtype=language_model.dtype)
        model.model.fill_from_parts(vision_model, language_model)
        return model

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """See `Brain3DModel.get_image_features`."""
        return self.model.get_image_features(pixel_values, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        cache: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        compressed_tokens: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        loss_weights: torch.Tensor | None = None,
        num_items_in_batch: int | torch.Tensor | None = None,
        logits_to_keep: int = 0,
        loss_only: bool = False,
        **kwargs: Any,
    ) -> Brain3DCausalLMOutputWithPast:
        """As `Brain3DModel.forward`, with logits and a loss.

        Args:
            labels: (B, L), the ids themselves, -100 where nothing is to be learned; shifted here.
            loss_weights: (B, L), the weight of each label; see `report_loss`.
            num_items_in_batch: divides the summed loss instead of the batch's own count (accumulation).
            logits_to_keep: logits of so many last positions only; 0 keeps all.
            loss_only: with labels: logits are made where the next token is learned, for the loss, and not returned.

        Raises:
            ValueError: as `Brain3DModel.forward`; `loss_only` without labels, or labels of another length.
        """
        if loss_only and labels is None:
            raise ValueError("loss_only is true, but there are no labels")
        outputs = self.model(
            input_ids=input_ids,
            pixel_values=pixel_values,
            attention_mask=attention_mask,
            position_ids=position_ids,
            cache=cache,
            inputs_embeds=inputs_embeds,
            image_features=image_features,
            compressed_tokens=compressed_tokens,
            return_dict=True,
            **kwargs,
        )
        states, logits, loss = outputs.last_hidden_state, None, None
        if labels is not None and loss_only:
            learned = self.next_token_logits(predicting(states, labels))
            loss = token_loss(learned, labels, loss_weights, num_items_in_batch)
        else:
            logits = self.next_token_logits(states[:, -logits_to_keep:])
            loss = None if labels is None else report_loss(logits, labels, loss_weights, num_items_in_batch)
        return Brain3DCausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            cache=outputs.cache,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
        )

    def next_token_logits(self, states: torch.Tensor) -> torch.Tensor:
        """The language model's last states (..., d) -> (..., vocabulary)."""
        logits = self.lm_head(states)
        cap = self.config.text_config.final_logit_softcapping
        return logits if cap is None else torch.tanh(logits / cap) * cap

    def prepare_inputs_for_generation(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        image_features: torch.Tensor | None = None,
        compressed_tokens: torch.Tensor | None = None,
        inputs_embeds: torch.Tensor | None = None,
        is_first_iteration: bool | None = False,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """The image, or what is embedded already, goes in once, at the first step; the cache remembers it."""
        inputs = super().prepare_inputs_for_generation(
            input_ids, inputs_embeds=inputs_embeds, is_first_iteration=is_first_iteration, **kwargs
        )
        if is_first_iteration or not kwargs.get("use_cache", True):
            images = {
                "pixel_values": pixel_values,
                "image_features": image_features,
                "compressed_tokens": compressed_tokens,
            }
            inputs.update({name: image for name, image in images.items() if image is not None})
        return inputs
