"""Networks that look at pictures: a small one that is trained, and those of transformers, which are not."""

from __future__ import annotations

from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor, nn
from torch.nn import functional


@final
class SmallVision(nn.Module):
    """Three convolutions: pictures (B, C, H, W) in [0, 1] to 16 patch features (B, 16, width).

    Args:
        channels: of the pictures. width: of the features.
    """

    def __init__(self, channels: int, width: int):
        super().__init__()
        self.size = width
        self.layers = nn.Sequential(
            nn.Conv2d(channels, width // 2, 3, padding=1), nn.SiLU(),
            nn.Conv2d(width // 2, width, 3, stride=2, padding=1), nn.GroupNorm(1, width), nn.SiLU(),
            nn.Conv2d(width, width, 3, stride=2, padding=1), nn.SiLU(),
            nn.AdaptiveAvgPool2d(4),
        )  # fmt: skip

    def forward(self, image: Tensor) -> Tensor:
        """Features of the patches."""
        found: Tensor = self.layers(image * 2 - 1).flatten(2).transpose(1, 2)
        return found


@final
class Frozen(nn.Module):
    """A vision model of transformers from a folder, not trained: features of patches, or one vector a picture.

    Pictures (B, C, H, W) in [0, 1] are resized to the model's size, and normalised as its preprocessor_config.json
    says, by CLIP's means if there is none. It keeps evaluation mode, and its weights are no parameters of the model
    around it: they stay in the folder.

    Args:
        path: the folder.

    Raises:
        ValueError: if there is no such folder, or it holds no vision model.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, path: Path):
        super().__init__()
        loaded = _vision_part(load_model(path))
        config = loaded.config
        self.size: int = config.hidden_size
        self.pixels: int = config.image_size if isinstance(config.image_size, int) else config.image_size[0]
        # In a list, torch does not see the module: a frozen network of a gigabyte belongs into no checkpoint.
        self._model = [loaded.requires_grad_(False).eval()]
        mean, deviation = _normalisation(path)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)

    @torch.no_grad()
    def tokens(self, image: Tensor) -> Tensor:
        """All tokens, (B, T, size)."""
        model = self._model[0].to(image.device)
        image = image if image.shape[1] == 3 else image[:, :1].expand(-1, 3, -1, -1)
        image = functional.interpolate(image, (self.pixels, self.pixels), mode="bilinear", antialias=True)
        found: Tensor = model(pixel_values=(image - self.mean) / self.deviation).last_hidden_state
        return found

    def forward(self, image: Tensor) -> Tensor:
        """The first token of each picture, (B, size)."""
        return self.tokens(image)[:, 0]


def load_model(path: Path) -> Any:
    """A model of transformers from a folder, without network.

    Raises:
        ValueError: if it can't be loaded.
    """
    from transformers import AutoModel

    if not (path / "config.json").is_file():
        raise ValueError(f"{path} holds no config.json: it must be a folder of a model that transformers can load.")
    try:
        return AutoModel.from_pretrained(path, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        raise ValueError(f"{path} holds no model that transformers can load: {str(error).splitlines()[0]}") from error


def _vision_part(model: Any) -> Any:
    part = getattr(model, "vision_model", model)
    if not hasattr(part.config, "image_size"):
        raise ValueError(f"The model is {type(model).__name__}, which looks at no pictures.")
    return part


def _normalisation(path: Path) -> tuple[Tensor, Tensor]:
    import json

    file = path / "preprocessor_config.json"
    said = json.loads(file.read_text()) if file.is_file() else {}
    mean = said.get("image_mean", [0.48145466, 0.4578275, 0.40821073])
    deviation = said.get("image_std", [0.26862954, 0.26130258, 0.27577711])
    return (torch.tensor(mean)[:, None, None], torch.tensor(deviation)[:, None, None])
