"""The names of files in a checkpoint of the published system; answers without torch."""

from __future__ import annotations

PROJECTOR_FILE = "projector_vis_scale.pt"
VISION_FOLDER = "vision_model"
LANGUAGE_FOLDER = "language_model"
LORA_FOLDER = "lora_adapters"
