"""Two groups of images, and attributes of which each should be read from one space and not from the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.data.labels import split_by_label
from contrast_core.data.splits import check_fractions
from contrast_core.interfaces import Data, Flow, Split
from contrast_medical.roles import ROLES


@frozen(eq=False)
class Attribute:
    """A fact about images that a probe is asked to read.

    Args:
        values: (n,) int64, the class of each image, -1 where unknown.
        classes: their names.
        space: where it belongs, "common" or "salient".
    """

    values: Tensor
    classes: Sequence[str]
    space: str


class TwoGroups(Data):
    """Images (n, C, H, W) uint8 with a role each; the constructor of what is made of it only takes the settings.

    A batch of B items holds `image` (B, C, H, W) float32 in [0, 1], `sample` (B,) int64 and `role` (B,) int64, 0 for
    the background and 1 for the target. Labels are the roles. The split "all" has both roles in proportion; training
    draws its train and validation items, so that what is tested on was never seen.

    Args:
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split.

    Raises:
        ValueError: if the fractions leave nothing to train on.
    """

    gives = ("image", "sample", "role", "embedding.label", "embedding.role")

    def __init__(self, validation: float, test: float, split_seed: int):
        check_fractions(validation, test)
        self.validation, self.test, self.split_seed = validation, test, split_seed
        self.images = torch.empty(0, 0, 0, 0, dtype=torch.uint8)
        self.roles = torch.empty(0, dtype=torch.int64)
        self.attributes: Mapping[str, Attribute] = {}
        self._splits: Mapping[str, Split] = {}

    def take(self, images: Tensor, roles: Tensor, attributes: Mapping[str, Attribute]) -> None:
        """Take what `load` has read or built.

        Raises:
            ValueError: if one of the two groups is empty.
        """
        for name, number in ROLES.items():
            if not bool((roles == number).any()):
                other = "target" if name == "background" else "background"
                raise ValueError(
                    f"All {len(roles)} images are {other}; none is {name}. Separating what is common from what is "
                    "salient takes images of both."
                )
        self.images, self.roles, self.attributes = images, roles, attributes
        self._splits = {"all": split_by_label(len(roles), roles, self.validation, self.test, self.split_seed)}

    def __len__(self) -> int:
        return len(self.images)

    def batch(self, items: Tensor) -> Flow:
        """The items' images, numbers and roles."""
        return {"image": self.images[items].float() / 255, "sample": items, "role": self.roles[items]}

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
    def splits(self) -> Mapping[str, Split]:
        """The split "all"."""
        return self._splits
