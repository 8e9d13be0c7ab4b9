"""Handwritten digits, half of them with a planted mark: the small data set for trying things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from contrast_medical.data.grouped import Attribute, TwoGroups

SIZE = 24
MARKS = ("disc", "ring", "cross", "bars")


@final
class PlantedDigits(TwoGroups):
    """Scikit-learn's digits at 24 x 24 pixels; half of them, the target, with a mark of one of four kinds over it.

    image = 0.5 digit + 0.5 mark (target) or 0.5 digit (background); a mark is a disc, a ring, a cross or bars of nine
    pixels at a random place. Common is the digit, salient the mark's kind and which side it is on. Which digits
    carry which mark is drawn by `seed`, independently of the digit.

    Args:
        seed: of the marks.
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split.

    Raises:
        ValueError: if the fractions leave nothing to train on.
    """

    def __init__(self, seed: int = 0, validation: float = 0.1, test: float = 0.4, split_seed: int = 0):
        super().__init__(validation, test, split_seed)
        self.seed = seed

    def load(self) -> None:
        """Read the digits from scikit-learn and plant the marks."""
        found = load_digits()
        digits = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16.0
        digits = functional.interpolate(digits, (SIZE, SIZE), mode="bilinear")
        count = len(digits)
        generator = torch.Generator().manual_seed(self.seed)
        roles = (torch.randperm(count, generator=generator) < count // 2).long()
        kinds = torch.randint(len(MARKS), (count,), generator=generator)
        centres = torch.randint(5, SIZE - 5, (count, 2), generator=generator)
        marks = _marks(kinds, centres) * roles[:, None, None, None]
        target = roles == 1
        attributes = {
            "digit": Attribute(torch.tensor(found.target), [str(digit) for digit in range(10)], "common"),
            "mark": Attribute(kinds.where(target, -1), MARKS, "salient"),
            "side": Attribute((centres[:, 1] >= SIZE // 2).long().where(target, -1), ("left", "right"), "salient"),
        }
        self.take(((digits + marks) / 2 * 255).round().to(torch.uint8), roles, attributes)

    @property
    def names(self) -> Sequence[str]:
        """Digit and, where there is one, mark of each image."""
        digits, kinds = (self.attributes[name].values.tolist() for name in ("digit", "mark"))
        return [
            f"{digit}" if kind < 0 else f"{digit} with {MARKS[kind]}" for digit, kind in zip(digits, kinds, strict=True)
        ]

    @property
    def source(self) -> str:
        """Where the digits come from, and what was done to them."""
        return (
            "Optical Recognition of Handwritten Digits, test part (UCI, doi:10.24432/C50P49, CC BY 4.0), as shipped "
            "with scikit-learn; marks drawn onto half of them"
        )


def _marks(kinds: Tensor, centres: Tensor) -> Tensor:
    """(n, 1, SIZE, SIZE): each image's mark."""
    place = torch.arange(SIZE)
    down = (place[None, :, None] - centres[:, 0, None, None]).float()
    across = (place[None, None, :] - centres[:, 1, None, None]).float()
    distance = (down.square() + across.square()).sqrt()
    inside = (down.abs() <= 4) & (across.abs() <= 4)
    shapes = torch.stack(
        [
            (distance <= 3).expand_as(inside),
            (distance <= 4.5) & (distance >= 3),
            inside & ((down.abs() < 1) | (across.abs() < 1)),
            inside & (down % 4 < 2) & (across < 99),
        ]
    )
    return shapes[kinds, torch.arange(len(kinds))][:, None].float()
