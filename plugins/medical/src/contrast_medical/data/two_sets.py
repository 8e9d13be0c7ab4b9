"""Data in two sets: what planted and read images have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from contrast_core.data.splits import check_fractions, seeded_split
from contrast_core.interfaces import Data, Flow, Split
from contrast_medical.roles import BACKGROUND, ROLES, TARGET


class Attribute(NamedTuple):
    """What is known of images, for probes.

    space: where it should be readable.
    values: (n,) int64, -1 where unknown or without meaning.
    classes: their names.
    """

    space: Literal["common", "salient"]
    values: Tensor
    classes: Sequence[str]


class TwoSets(Data):
    """Images of a background and a target, with a role each and attributes that probes are asked about.

    A batch of B items holds `image` (B, C, H, W) float32 in [0, 1], `sample` (B,) and `role` (B,) int64: 0 background,
    1 target. The labels are the roles; attributes are never in a batch. Training draws all but the test items.

    Args:
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test on, never trained on.
        split_seed: of the split, in which both roles are in proportion.

    Raises:
        ValueError: for fractions out of range; when loading, if one of the two sets is empty.
    """

    def __init__(self, validation: float, test: float, split_seed: int):
        check_fractions(validation, test)
        self.validation, self.test, self.split_seed = validation, test, split_seed
        self.gives = ("image", "sample", "role", "embedding.label")
        self._images = torch.empty(0, dtype=torch.uint8)
        self._role = torch.empty(0, dtype=torch.int64)
        self._attributes: Mapping[str, Attribute] = {}
        self._split = Split(self._role, self._role, self._role)

    def load(self) -> None:
        """Read or make the images, check that there are two sets, split them."""
        self._images, self._role, self._attributes = self._read()
        for number, name in ((BACKGROUND, "background"), (TARGET, "target")):
            if not bool((self._role == number).any()):
                other = ROLES[1 - number]
                raise ValueError(
                    f"All {len(self._role)} images are {other}; what is common and what is salient takes two sets. "
                    f"Give the role '{name}' to some, or use core/images-simclr for one set."
                )
        self._split = self._parts()
        for number, name in enumerate(ROLES):
            if not bool((self._role[self.training_items] == number).any()):
                raise ValueError(f"No {name} image is left to train on; lower validation or test, or add images.")

    @abstractmethod
    def _read(self) -> tuple[Tensor, Tensor, Mapping[str, Attribute]]:
        """Images (n, C, H, W) uint8, roles (n,) int64, attributes by name."""

    def _parts(self) -> Split:
        """The split; images that share what is common may be kept together."""
        return seeded_split(self._role, self.validation, self.test, self.split_seed)

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, items: Tensor) -> Flow:
        """Images, numbers and roles of the items."""
        return {"image": self._images[items].float() / 255, "sample": items, "role": self._role[items]}

    @property
    def training_items(self) -> Tensor:
        """All but the test items."""
        return torch.cat([self._split.train, self._split.val]).sort().values

    @property
    def attributes(self) -> Mapping[str, Attribute]:
        """What probes are asked about, by name."""
        return self._attributes

    @property
    def labels(self) -> Tensor:
        """The roles."""
        return self._role

    @property
    def classes(self) -> Sequence[str]:
        """The two roles."""
        return ROLES

    @property
    def names(self) -> Sequence[str]:
        """Number and role of each image."""
        return [f"image {n}: {ROLES[role]}" for n, role in enumerate(self._role.tolist())]

    @property
    def splits(self) -> Mapping[str, Split]:
        """The split "all"."""
        return {"all": self._split}
