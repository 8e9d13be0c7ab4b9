"""Random views of images, drawn for the whole batch at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Flow, View
from contrast_core.views.image_changes import (
    Motion,
    blurred,
    cut_out,
    grey,
    jittered,
    middle,
    moved,
    solarised,
)


@final
class ImageViews(View):
    """Several random views of images x (B, C, H, W) in [0, 1], each drawn independently for every image.

    In this order, each only if its option asks for it: crop, flip, shear, scale, rotation and shift, as one bilinear
    resampling with black outside; brightness, contrast and saturation; greyscale; blur; solarisation; cutout; noise.
    Views are H by W, or `size` by `size`; values stay in [0, 1] unless they are standardised at the end. In evaluation
    mode every view is x itself, or its middle of that size, standardised alike. Random numbers come from torch's global
    generator, which a run seeds and checkpoints.

    Args:
        source: the images, floating point.
        names: the views to make.
        crop: least and largest share of the area that is kept and enlarged; (1, 1) keeps all. Aspect ratios are
            between 3/4 and 4/3.
        flip: probability of exchanging left and right.
        vertical_flip: probability of exchanging top and bottom.
        rotation: largest angle in degrees, either way.
        shift: largest shift in pixels, either way.
        scale: s; the image is enlarged by a factor from [1 - s, 1 + s].
        shear: largest shear along x in degrees, either way.
        size: side of the views; left out, they keep height and width.
        brightness: b; values are multiplied by a factor from [1 - b, 1 + b].
        contrast: c; the distance to the image's mean is multiplied by a factor from [1 - c, 1 + c].
        saturation: the same for the distance to the greyscale image; it does nothing to grey images.
        jitter: probability of changing brightness, contrast and saturation.
        greyscale: probability of taking the colours away.
        blur: probability of a Gaussian blur of 0.1 to 2 pixels.
        solarise: probability of inverting values above 1/2.
        cutout: side of a black square at a random place, as a share of the image's smaller side; 0 cuts nothing.
        noise: standard deviation of Gaussian noise.
        mean, deviation: views become (x - mean) / deviation; a number for every channel or one for all.

    Raises:
        ValueError: for options outside these ranges, no name or one twice; in use, if the input is no floating image
            with one or three channels, has others than mean and deviation, or is smaller than `size` in evaluation.

    Papers: Chen et al., SimCLR, ICML 2020, arXiv 2002.05709; blur and solarisation as in Grill et al., BYOL, arXiv
        2006.07733; DeVries and Taylor, Cutout, arXiv 1708.04552.
    """

    mean: Tensor | None
    deviation: Tensor | None

    def __init__(
        self,
        source: str = "image",
        names: Sequence[str] = ("one", "two"),
        crop: tuple[float, float] = (0.5, 1.0),
        flip: float = 0.0,
        vertical_flip: float = 0.0,
        rotation: float = 0.0,
        shift: float = 0.0,
        scale: float = 0.0,
        shear: float = 0.0,
        size: int | None = None,
        brightness: float = 0.0,
        contrast: float = 0.0,
        saturation: float = 0.0,
        jitter: float = 1.0,
        greyscale: float = 0.0,
        blur: float = 0.0,
        solarise: float = 0.0,
        cutout: float = 0.0,
        noise: float = 0.0,
        mean: Sequence[float] = (),
        deviation: Sequence[float] = (),
    ):
        super().__init__()
        if not names or len(set(names)) < len(names):
            raise ValueError(f"names must hold at least one view and none twice, not {list(names)}.")
        if not 0 < crop[0] <= crop[1] <= 1:
            raise ValueError(f"crop = {list(crop)} must be two shares of the area, 0 < least <= largest <= 1.")
        chances = {
            "flip": flip, "vertical_flip": vertical_flip, "jitter": jitter, "greyscale": greyscale, "blur": blur,
            "solarise": solarise,
        }  # fmt: skip
        shares = {**chances, "brightness": brightness, "contrast": contrast, "saturation": saturation}
        for option, value in {**shares, "cutout": cutout}.items():
            if not 0 <= value <= 1:
                raise ValueError(f"{option} = {value} must be from 0 to 1.")
        for option, value in {"rotation": rotation, "shift": shift, "noise": noise}.items():
            if value < 0:
                raise ValueError(f"{option} = {value} must not be negative.")
        if not 0 <= scale < 1 or not 0 <= shear < 90:
            raise ValueError(
                f"scale = {scale} must be from 0 to below 1 and shear = {shear} from 0 to below 90 degrees."
            )
        if size is not None and size < 1:
            raise ValueError(f"size = {size} must be at least one pixel.")
        if len(mean) != len(deviation) or len(mean) not in (0, 1, 3) or min(deviation, default=1) <= 0:
            raise ValueError(
                f"mean = {list(mean)} and deviation = {list(deviation)} must have a number each for one or three "
                "channels, and deviations must be positive."
            )
        self.needs, self.gives = (source,), tuple(names)
        self.source, self.names, self.chances, self.size = source, tuple(names), chances, size
        self.motion = Motion((crop[0], crop[1]), (flip, vertical_flip), rotation, shift, scale, shear, size)
        self.jitter, self.cutout, self.noise = (brightness, contrast, saturation), cutout, noise
        # Options, not state: in no checkpoint.
        self.register_buffer("mean", torch.tensor(mean)[:, None, None] if mean else None, persistent=False)
        self.register_buffer("deviation", torch.tensor(deviation)[:, None, None] if mean else None, persistent=False)

    def forward(self, flow: Flow) -> Flow:
        """The views by name."""
        x: Tensor = flow[self.source]
        if not x.is_floating_point() or x.dim() != 4 or x.shape[1] not in (1, 3):
            raise ValueError(
                f"The input '{self.source}' must be floating images (B, 1 or 3, H, W), not {x.dtype} of shape "
                f"{tuple(x.shape)}."
            )
        if self.mean is not None and len(self.mean) not in (1, x.shape[1]):
            raise ValueError(
                f"The input '{self.source}' has {x.shape[1]} channels, but mean and deviation are for {len(self.mean)}."
            )
        return {name: self._standardised(self._draw(x) if self.training else self._still(x)) for name in self.names}

    def _still(self, x: Tensor) -> Tensor:
        return x if self.size is None else middle(x, self.size)

    def _standardised(self, x: Tensor) -> Tensor:
        if self.mean is None or self.deviation is None:
            return x
        return (x - self.mean.to(x.dtype)) / self.deviation.to(x.dtype)

    def _draw(self, x: Tensor) -> Tensor:
        chances = self.chances
        if self.motion.moves:
            x = moved(x, self.motion)
        if any(self.jitter):
            whole = chances["jitter"] == 1
            x = jittered(x, *self.jitter) if whole else self._some(x, "jitter", lambda x: jittered(x, *self.jitter))
        for option, change in (("greyscale", grey), ("blur", blurred), ("solarise", solarised)):
            if chances[option]:
                x = self._some(x, option, change)
        if self.cutout:
            x = cut_out(x, self.cutout)
        return (x + self.noise * torch.randn_like(x)).clamp(0, 1) if self.noise else x

    def _some(self, x: Tensor, option: str, change: Callable[[Tensor], Tensor]) -> Tensor:
        """Each image changed with the option's probability."""
        chosen = torch.rand(len(x), 1, 1, 1, device=x.device) < self.chances[option]
        return torch.where(chosen, change(x), x)
