"""Handwritten digits, half of them with a planted mark: the small data set for trying things."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from contrast_core.data.splits import seeded_split
from contrast_core.interfaces import Split
from contrast_medical.data.grouped import Attribute, TwoGroups
from contrast_medical.roles import TARGET

SIZE = 24
MARKS = ("disc", "ring", "cross", "bars")


@final
class PlantedDigits(TwoGroups):
    """Scikit-learn's digits at 24 x 24 pixels; half of the images, the target, with one of four kinds of mark.

    image = 0.5 digit + 0.5 mark (target) or 0.5 digit (background); a mark is a disc, a ring, a cross or bars of nine
    pixels at a random place. Common is the digit, salient the mark. Which image is a target and carries which mark is
    drawn by `seed`, independently of the digit.

    Args:
        copies: how often each digit is used, each time with a role and mark of its own; the copies of a digit are
            all trained on, or all tested on.
        seed: of the marks.
        validation: fraction of the digits to choose a probe on.
        test: fraction of the digits to test a probe on.
        split_seed: of the split.

    Raises:
        ValueError: if there is no copy, or the fractions leave nothing to train on.
    """

    def __init__(self, copies: int = 2, seed: int = 0, validation: float = 0.1, test: float = 0.3, split_seed: int = 0):
        super().__init__(validation, test, split_seed)
        if copies < 1:
            raise ValueError(f"copies = {copies} must be at least 1.")
        self.copies, self.seed = copies, seed

    def load(self) -> None:
        """Read the digits from scikit-learn and plant the marks."""
        found = load_digits()
        digits = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16.0
        digits = functional.interpolate(digits, (SIZE, SIZE), mode="bilinear").repeat(self.copies, 1, 1, 1)
        numbers = torch.tensor(found.target)
        count = len(digits)
        generator = torch.Generator().manual_seed(self.seed)
        roles = (torch.randperm(count, generator=generator) < count // 2).long()
        kinds = torch.randint(len(MARKS), (count,), generator=generator)
        centres = torch.randint(5, SIZE - 5, (count, 2), generator=generator)
        planted = marks(kinds, centres, SIZE) * roles[:, None, None, None]
        attributes = {
            "digit": Attribute(numbers.repeat(self.copies), "common", [str(digit) for digit in range(10)]),
            "mark": Attribute(kinds.where(roles == TARGET, -1), "salient", MARKS),
        }
        split = seeded_split(numbers, self.validation, self.test, self.split_seed)
        first = torch.arange(self.copies)[:, None] * len(numbers)
        parts = ((first + part).flatten() for part in (split.train, split.val, split.test))
        self.take(((digits + planted) / 2 * 255).round().to(torch.uint8), roles, attributes, Split(*parts))

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
            f"with scikit-learn; {len(self)} images, marks drawn onto half of them"
        )


def marks(kinds: Tensor, centres: Tensor, size: int) -> Tensor:
    """One mark an image, (n, 1, size, size) in {0, 1}.

    Args:
        kinds: (n,) int64, places in `MARKS`.
        centres: (n, 2), row and column in pixels.
        size: height and width of the images.
    """
    place = torch.arange(size)
    down = (place[None, :, None] - centres[:, 0, None, None]).float()
    across = (place[None, None, :] - centres[:, 1, None, None]).float()
    distance = (down.square() + across.square()).sqrt()
    inside = (down.abs() <= 4) & (across.abs() <= 4)
    shapes = torch.stack(
        [
            distance <= 3,
            (distance <= 4.5) & (distance >= 3),
            inside & ((down.abs() < 1) | (across.abs() < 1)),
            inside & (down % 4 < 2),
        ]
    )
    return shapes[kinds, torch.arange(len(kinds))][:, None].float()
