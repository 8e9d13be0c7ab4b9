"""One's own items, with a label each if there are any: what tables, texts and images have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

from torch import Tensor

from contrast_core.data.labels import ordered, shown_labels, split_by_label
from contrast_core.data.splits import check_fractions
from contrast_core.interfaces import Data, Flow, Split


class LabelledData(Data):
    """Items whose labels come as texts, split in every class's proportion.

    Args:
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split.
        shown: whose labels batches hold: of the "train" items, of "all" or "none".

    Raises:
        ValueError: if the fractions leave nothing to train on.
    """

    def __init__(self, validation: float, test: float, split_seed: int, shown: str):
        check_fractions(validation, test)
        self.validation, self.test, self.split_seed, self.shown = validation, test, split_seed, shown
        self._labels: Tensor | None = None
        self._shown: Tensor | None = None
        self._splits: Mapping[str, Split] = {}
        self._classes: Sequence[str] = ()

    def _label(self, texts: Sequence[str] | None, count: int) -> None:
        """Take the labels of `count` items, "" where unknown, None if there are none; called by `load`."""
        if texts is not None:
            self._classes, self._labels = ordered(texts)
        self._splits = {"all": split_by_label(count, self._labels, self.validation, self.test, self.split_seed)}
        if self._labels is not None:
            self._shown = shown_labels(self._labels, self._splits["all"], self.shown)

    def batch(self, items: Tensor) -> Flow:
        """The items' inputs, numbers and shown labels."""
        batch = {**self._inputs(items), "sample": items}
        return batch if self._shown is None else {**batch, "label": self._shown[items]}

    @abstractmethod
    def _inputs(self, items: Tensor) -> Flow:
        """The items' inputs by name."""

    @property
    def labels(self) -> Tensor | None:
        """The classes by number, (n,) int64, -1 where unknown; None if there are none."""
        return self._labels

    @property
    def classes(self) -> Sequence[str]:
        """The labels' texts in order: whole numbers by size, otherwise by alphabet."""
        return self._classes

    @property
    def splits(self) -> Mapping[str, Split]:
        """The split "all"."""
        return self._splits
