"""Handwritten digits: small, real, and already on every machine that has scikit-learn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from sklearn.datasets import load_digits
from torch import Tensor

from contrast_core.data.splits import check_fractions, seeded_split
from contrast_core.interfaces import Data, Flow, Split


@final
class Digits(Data):
    """1,797 handwritten digits of 8 x 8 pixels, ten classes.

    Source: the test part of "Optical Recognition of Handwritten Digits" (E. Alpaydin, C. Kaynak, UCI Machine
        Learning
    Repository, doi:10.24432/C50P49, CC BY 4.0), as shipped with scikit-learn; nothing is downloaded.

    A batch of B items holds `image` (B, 1, 8, 8) float32 in [0, 1], `sample` (B,) int64, and `label` (B,)
    int64, -1 where the label is not shown.

    Args:
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split "all", in which every class is in proportion.
        shown: whose labels batches hold: of the "train" items, so that a supervised objective never sees a
            label that is tested on, or of "all" or "none". Evaluators always see all labels.

    Raises:
        ValueError: if the fractions leave nothing to train a probe on.
    """

    def __init__(
        self,
        validation: float = 0.1,
        test: float = 0.4,
        split_seed: int = 0,
        shown: Literal["train", "all", "none"] = "train",
    ):
        check_fractions(validation, test)
        self.gives = ("image", "sample", "label", "embedding.label")
        self.validation, self.test, self.split_seed, self.shown = validation, test, split_seed, shown
        self._images = self._labels = self._shown = torch.empty(0)
        self._splits: Mapping[str, Split] = {}

    def load(self) -> None:
        """Read the images from scikit-learn and split them."""
        found = load_digits()
        self._images = torch.tensor(found.images, dtype=torch.float32)[:, None] / 16.0
        self._labels = torch.tensor(found.target, dtype=torch.int64)
        split = seeded_split(self._labels, self.validation, self.test, self.split_seed)
        self._splits = {"all": split}
        seen = {"train": split.train, "all": torch.arange(len(self)), "none": torch.arange(0)}[self.shown]
        self._shown = torch.full_like(self._labels, -1)
        self._shown[seen] = self._labels[seen]

    def __len__(self) -> int:
        return len(self._images)

    def batch(self, items: Tensor) -> Flow:
        """Images, numbers and shown labels of the items."""
        return {"image": self._images[items], "sample": items, "label": self._shown[items]}

    @property
    def labels(self) -> Tensor | None:
        """The digits, (1797,) int64."""
        return self._labels

    @property
    def classes(self) -> Sequence[str]:
        """The ten digits as texts."""
        return [str(digit) for digit in range(10)]

    @property
    def names(self) -> Sequence[str]:
        """Number and digit of each image."""
        return [f"image {number}: {label}" for number, label in enumerate(self._labels.tolist())]

    @property
    def splits(self) -> Mapping[str, Split]:
        """The split "all"."""
        return self._splits

    @property
    def source(self) -> str:
        """Where the images come from."""
        return (
            "Optical Recognition of Handwritten Digits, test part (UCI, doi:10.24432/C50P49, CC BY 4.0), "
            "1,797 images of 8 x 8 pixels as shipped with scikit-learn"
        )
