"""Views of a subject: cut out of its picture, and what it looks like to a network that is not trained."""

from __future__ import annotations

from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.interfaces import Flow, View
from contrast_diffusion.model.vision import Frozen

BLANK = 0.5
"""The grey around a subject that was cut out."""


@final
class CutSubject(View):
    """The subject cut out by its mask, at a random size and place on a blank ground: the positive of MACL.

    With probability `segmented` cut = A(m x + (1 - m) 0.5), where A moves the middle of the mask to a random place and
    the subject to `smallest` .. 1 of the largest size that fits; otherwise cut = x, so that the ground alone does not
    tell positives from anchors. In evaluation mode the subject is in the middle, always cut out.

    Reads `image` (B, C, H, W) in [0, 1] and `mask` (B, 1, H, W); gives `cut`, as the image.

    Args:
        segmented: share of the rows that are cut out. smallest: size, as a share of the largest.

    Raises:
        ValueError: for shares outside of (0, 1]; in use, if the mask is of another size than the image.

    Paper: CustomContrast, arXiv 2409.05606. Certain: segmented images of the subject from other views, places and
    sizes. Ours: the sizes, the blank ground, and the mixture with whole pictures.
    """

    needs = ("image", "mask")
    gives = ("cut",)

    def __init__(self, segmented: float = 0.5, smallest: float = 0.5):
        super().__init__()
        for name, value in (("segmented", segmented), ("smallest", smallest)):
            if not 0 < value <= 1:
                raise ValueError(f"{name} = {value} must be from above 0 to 1.")
        self.segmented, self.smallest = segmented, smallest

    def forward(self, flow: Flow) -> Flow:
        """The cut pictures."""
        image, mask = flow["image"], flow["mask"]
        if not self.training:
            return {"cut": centred(image, mask)}
        n, device = len(image), image.device
        share, whole = torch.rand(2, n).to(device)
        toward = (torch.rand(n, 2) * 2 - 1).to(device)
        cut = centred(image, mask, self.smallest + (1 - self.smallest) * share, toward)
        return {"cut": torch.where((whole < self.segmented)[:, None, None, None], cut, image)}


@final
class Appearance(View):
    """What each subject looks like, by a network that is not trained; MACL scales its negatives by it.

    f = phi(centred cut of the subject), without gradient. phi is a vision model of transformers, its pooled or first
    token, or, left out, the square roots of a histogram of the subject's colours (4 x 4 x 4) beside one of how its
    pixels lie around its middle (8 rings), which needs no weights.

    Reads `image` and `mask`; gives `appearance` (B, k), unit rows, float32.

    Args:
        model: a folder with a vision model of transformers (DINO, CLIP), loaded without network.

    Raises:
        ValueError: in use, if there is no such model, or the mask is of another size than the image.

    Paper: CustomContrast, arXiv 2409.05606: distances of the real subjects are certain, how they are measured is ours.
    """

    needs = ("image", "mask")
    gives = ("appearance",)

    def __init__(self, model: Path | None = None):
        super().__init__()
        self.frozen = None if model is None else Frozen(model)

    @torch.no_grad()
    def forward(self, flow: Flow) -> Flow:
        """Features of all subjects."""
        image, mask = flow["image"], flow["mask"]
        cut, alpha = centred(image, mask), centred(mask, mask, blank=0.0)
        found = described(cut, alpha) if self.frozen is None else self.frozen(cut)
        return {"appearance": functional.normalize(found.float(), dim=1)}


def centred(
    image: Tensor, mask: Tensor, share: Tensor | None = None, toward: Tensor | None = None, blank: float = BLANK
) -> Tensor:
    """Subjects cut out, (B, C, H, W), in the middle and as large as fits, or at `share` (B,) of that size.

    `toward` (B, 2) in [-1, 1] says where in the room that is left.
    """
    if mask.shape[-2:] != image.shape[-2:] or len(mask) != len(image):
        raise ValueError(
            f"The masks are {tuple(mask.shape)}, the images {tuple(image.shape)}: they must have the same height, "
            "width and number."
        )
    n, _, height, width = image.shape
    line = [torch.linspace(-1 + 1 / k, 1 - 1 / k, k, device=image.device, dtype=image.dtype) for k in (width, height)]
    seen = [(mask[:, 0].amax(1 + k) > 0.5).to(image.dtype) for k in (0, 1)]
    # An empty mask keeps the whole picture: there is nothing to centre.
    seen = [torch.where(s.any(1, keepdim=True), s, torch.ones_like(s)) for s in seen]
    high = torch.stack([torch.where(s > 0, axis, -1.0).amax(1) for s, axis in zip(seen, line, strict=True)], 1)
    low = torch.stack([torch.where(s > 0, axis, 1.0).amin(1) for s, axis in zip(seen, line, strict=True)], 1)
    middle, radius = (high + low) / 2, ((high - low) / 2).amax(1).clamp(min=0.1) + 1 / min(height, width)
    share = image.new_ones(n) if share is None else share.to(image.dtype)
    toward = image.new_zeros(n, 2) if toward is None else toward.to(image.dtype)
    zoom = (radius / share)[:, None]
    theta = image.new_zeros(n, 2, 3)
    theta[:, 0, 0] = theta[:, 1, 1] = zoom[:, 0]
    theta[:, :, 2] = middle - zoom * toward * (1 - share[:, None])
    where = functional.affine_grid(theta, [n, 1, height, width], align_corners=False)
    lifted = functional.grid_sample((image - blank) * mask, where, align_corners=False, padding_mode="zeros")
    return lifted + blank


def described(cut: Tensor, alpha: Tensor) -> Tensor:
    """Colours and outline of subjects, (B, 72): roots of two histograms, each of which sums to 1."""
    n, channels, height, width = cut.shape
    colours = cut if channels == 3 else cut[:, :1].expand(-1, 3, -1, -1)
    bins = (colours.clamp(0, 1) * 3.999).long()
    which = (bins[:, 0] * 16 + bins[:, 1] * 4 + bins[:, 2]).flatten(1)
    weight = alpha[:, 0].flatten(1).clamp(0, 1)
    y, x = (torch.linspace(-1, 1, k, device=cut.device) for k in (height, width))
    ring = ((x[None] ** 2 + y[:, None] ** 2).sqrt().clamp(max=1) * 7.999).long().flatten().expand(n, -1)
    parts = [
        weight.new_zeros(n, size).scatter_add_(1, index, weight) / weight.sum(1, keepdim=True).clamp(min=1e-6)
        for size, index in ((64, which), (8, ring))
    ]
    return torch.cat(parts, 1).sqrt()
