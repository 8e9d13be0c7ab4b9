"""Two groups of images, and attributes of which each should be read from one space and not from the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
from attrs import field, frozen
from torch import Tensor

from contrast_core.data.labels import split_by_label
from contrast_core.data.splits import check_fractions
from contrast_core.interfaces import Data, Flow, Split
from contrast_medical.roles import ROLES

Space = Literal["common", "salient"]


@frozen(eq=False)
class Attribute:
    """A fact about images that a probe is asked to read.

    Args:
        values: (n,): int64, the class of each image, -1 where unknown; or float64, a number, NaN where unknown.
        space: where it belongs, "common" or "salient".
        classes: the classes' names; none for numbers.
    """

    values: Tensor
    space: Space
    classes: Sequence[str] = field(default=())

    @property
    def known(self) -> Tensor:
        """Where the value is known, (n,) bool."""
        return self.values.isfinite() if self.values.is_floating_point() else self.values >= 0


class TwoGroups(Data):
    """Images (n, C, H, W) uint8 with a role each; the constructor of what is made of it only takes the settings.

    A batch of B items holds `image` (B, C, H, W) float32 in [0, 1], `sample` (B,) int64 and `role` (B,) int64, 0 for
    the background and 1 for the target. Labels are the roles. The split "all" has both roles in proportion, or is the
    data's own; training draws its train and validation items, so that what is tested on was never seen. If asked for,
    a batch also holds `attributes` (B, k) float32: numbers, and classes by number, NaN where unknown.

    Args:
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split.
        told: names of attributes that a batch holds.

    Raises:
        ValueError: if the fractions leave nothing to train on.
    """

    def __init__(self, validation: float, test: float, split_seed: int, told: Sequence[str] = ()):
        check_fractions(validation, test)
        self.told_attributes = tuple(told)
        self.gives = ("image", "sample", "role", "embedding.label", "embedding.role", *(["attributes"] if told else []))
        self.validation, self.test, self.split_seed = validation, test, split_seed
        self.images = torch.empty(0, 0, 0, 0, dtype=torch.uint8)
        self.roles = torch.empty(0, dtype=torch.int64)
        self.attributes: Mapping[str, Attribute] = {}
        self._splits: Mapping[str, Split] = {}

    def take(
        self, images: Tensor, roles: Tensor, attributes: Mapping[str, Attribute], split: Split | None = None
    ) -> None:
        """Take what `load` has read or built; without a split, one is drawn.

        Raises:
            ValueError: if one of the two groups is empty, or nothing of one is left to train on; for attributes to be
                told that there are not.
        """
        if missing := [name for name in self.told_attributes if name not in attributes]:
            have = ", ".join(attributes) or "none"
            raise ValueError(f"There is no attribute {missing[0]!r} to put into a batch; there are: {have}.")
        split = split or split_by_label(len(roles), roles, self.validation, self.test, self.split_seed)
        trained = torch.cat([split.train, split.val])
        for name, number in ROLES.items():
            other = "target" if name == "background" else "background"
            for which, found in (("images", roles), ("images to train on", roles[trained])):
                if not bool((found == number).any()):
                    raise ValueError(
                        f"All {len(found)} {which} are {other}; none is {name}. Separating what is common from what is "
                        "salient takes images of both."
                    )
        self.images, self.roles, self.attributes = images, roles, attributes
        self._splits = {"all": split}

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, items: Tensor) -> Flow:
        """The items' images, numbers, roles and, if asked for, attributes."""
        found = {"image": self.images[items].float() / 255, "sample": items, "role": self.roles[items]}
        if self.told_attributes:
            told = [self.attributes[name] for name in self.told_attributes]
            columns = [each.values[items].float().where(each.known[items], float("nan")) for each in told]
            found["attributes"] = torch.stack(columns, 1)
        return found

    @property
    def counted(self) -> str:
        """How many images of each group there are, for `source`."""
        targets = int(self.roles.sum())
        return f"{len(self) - targets} background and {targets} target images"

    @property
    def training_items(self) -> Tensor | None:
        """All items but those to test on."""
        split = self._splits["all"]
        return torch.cat([split.train, split.val]).sort().values

    @property
    def labels(self) -> Tensor | None:
        """The roles."""
        return self.roles

    @property
    def classes(self) -> Sequence[str]:
        """The roles' names."""
        return list(ROLES)

    @property
    def names(self) -> Sequence[str]:
        """The classes that are known of each image."""
        columns = [[*each.classes, ""] for each in self.attributes.values() if each.classes]
        numbers = [each.values.tolist() for each in self.attributes.values() if each.classes]
        # -1, unknown, is the empty name at the end.
        told = ([names[place] for names, place in zip(columns, row, strict=True)] for row in zip(*numbers, strict=True))
        return [", ".join(name for name in row if name) for row in told]

    @property
    def splits(self) -> Mapping[str, Split]:
        """The split "all"."""
        return self._splits
