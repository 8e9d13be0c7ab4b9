"""Block masks: parts of an image that the student has to do without."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Flow, View


@final
class BlockMask(View):
    """Copies of image views in which blocks of patches are set to zero, until about a share of the patches is.

    The share of an image is uniform in ratio +- spread. Blocks of BEiT: area uniform from (min(H, W) // 3)^2 to what is
    left, log-uniform aspect from 0.3 to 1 / 0.3, at a random place, ten tries; a block is taken if it masks from one
    patch to as many as are left. In evaluation mode nothing is masked. Random numbers come from torch's global
    generator, which a run seeds and checkpoints.

    Zero is meant to be the mean colour: the authors mask normalised images.

    Args:
        views: the inputs, (B, C, H, W); their sides are multiples of `patch`.
        suffix: of the names of the masked copies.
        patch: side of a patch in pixels, 16 in the paper.
        ratio: mean share of masked patches, from 0 to 1.
        spread: largest difference of an image's share from the mean.

    Raises:
        ValueError: for options out of range; in use, if the patches do not fit the image.

    Papers: BECLR, ICLR 2024, arXiv 2402.02444; the blocks: BEiT, arXiv 2106.08254.
    """

    def __init__(
        self,
        views: Sequence[str] = ("one", "two"),
        suffix: str = "-masked",
        patch: int = 16,
        ratio: float = 0.15,
        spread: float = 0.1,
    ):
        super().__init__()
        if not views or not suffix or patch < 1 or not 0 <= ratio <= 1 or spread < 0:
            raise ValueError(
                f"views = {list(views)} and suffix = '{suffix}' must not be empty, patch = {patch} at least 1, "
                f"ratio = {ratio} from 0 to 1 and spread = {spread} not negative."
            )
        self.views, self.suffix, self.patch, self.ratio, self.spread = tuple(views), suffix, patch, ratio, spread
        self.needs, self.gives = self.views, tuple(view + suffix for view in self.views)

    def forward(self, flow: Flow) -> Flow:
        """The masked copies."""
        return {view + self.suffix: self._masked(view, flow[view]) for view in self.views}

    def _masked(self, view: str, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        if height % self.patch or width % self.patch:
            raise ValueError(
                f"The view '{view}' has images of {height} x {width} pixels, which patches of {self.patch} do not "
                "divide; set patch."
            )
        if not self.training:
            return images
        grid = (height // self.patch, width // self.patch)
        masks = torch.stack([self._blocks(*grid) for _ in range(len(images))]) if len(images) else None
        return images if masks is None else masked(images, masks.to(images.device), self.patch)

    def _blocks(self, height: int, width: int) -> Tensor:
        mask = torch.zeros(height, width, dtype=torch.bool)
        share = self.ratio + self.spread * float(2 * torch.rand(()) - 1)
        wanted = round(min(max(share, 0.0), 1.0) * height * width)
        smallest = (min(height, width) // 3) ** 2
        missing = wanted
        while missing > 0:
            added = _add_block(mask, max(1, min(smallest, missing)), missing)
            if not added:
                break
            missing -= added
        return mask


def _add_block(mask: Tensor, smallest: int, largest: int) -> int:
    """Mask one block in place and say how many patches that added: 0 if ten tries found none."""
    height, width = mask.shape
    bound = math.log(1 / 0.3)
    for _ in range(10):
        area, aspect, top, left = torch.rand(4).tolist()
        area = smallest + area * (largest - smallest)
        aspect = math.exp((2 * aspect - 1) * bound)
        h, w = max(1, round(math.sqrt(area * aspect))), max(1, round(math.sqrt(area / aspect)))
        if h > height or w > width:
            continue
        y, x = int(top * (height - h + 1)), int(left * (width - w + 1))
        block = mask[y : y + h, x : x + w]
        added = int((~block).sum())
        if 1 <= added <= largest:
            block.fill_(True)
            return added
    return 0


def masked(images: Tensor, masks: Tensor, patch: int) -> Tensor:
    """Images (B, C, H, W) with zeros where the mask (B, H / patch, W / patch) of a patch is true."""
    pixels = masks.repeat_interleave(patch, 1).repeat_interleave(patch, 2)
    return images.masked_fill(pixels[:, None], 0.0)
