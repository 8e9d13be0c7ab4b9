"""Any labelled data set, some of whose classes, or groups of classes, are kept for episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from torch import Tensor, nn

from contrast_core.data.labels import ordered
from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Data, Flow, Split


@final
class HeldOut(Data):
    """Training draws the items of the base classes; those of the novel classes are embedded and evaluated.

    Batches, labels and names are those of the data inside.

    Args:
        data: a data set with labels.
        novel: names of the classes that are held out, or of groups whose classes are.
        by: whether `novel` names each "class" or a "group", for example an alphabet of characters: what the data inside
            have as `groups`, core/images by its option `group`.
        evaluate_on: "novel" for the test, or "base" to choose settings on classes that were trained on.

    Raises:
        ValueError: by `load`, if the data have no labels or no such class or group, a class is in groups on both sides,
            or none is left to train on.
    """

    def __init__(
        self,
        data: Data,
        novel: Sequence[str],
        by: Literal["class", "group"] = "class",
        evaluate_on: Literal["novel", "base"] = "novel",
    ):
        if not novel:
            raise ValueError('Name what is held out, for example novel = ["6", "7", "8", "9"].')
        self.data, self.novel, self.by, self.evaluate_on = data, tuple(novel), by, evaluate_on
        self.gives, self.whole = data.gives, data.whole
        self._base = self._novel = torch.empty(0, dtype=torch.int64)

    def load(self) -> None:
        """Load the data inside and part its items."""
        self.data.load()
        labels = self.data.labels
        if labels is None:
            raise ValueError("Classes can only be held out of data with labels; these have none.")
        names, numbers = (list(self.data.classes), labels) if self.by == "class" else ordered(self.data.groups)
        if not names:
            raise ValueError("These data have no groups; core/images has, with its option group.")
        for name in self.novel:
            if name not in names:
                have = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
                hint = did_you_mean(name, names)
                raise ValueError(f"There is no {self.by} '{name}' to hold out, only {have}.{hint}")
        held = torch.isin(numbers, torch.tensor([names.index(name) for name in self.novel]))
        self._base, self._novel = (~held).nonzero().squeeze(1), held.nonzero().squeeze(1)
        if not len(self._base):
            raise ValueError("Everything is held out, so that nothing is left to train on; name less in novel.")
        both = set(labels[held].tolist()) & set(labels[~held].tolist()) - {-1}
        if both:
            name = self.data.classes[min(both)]
            raise ValueError(f"The class '{name}' is in a group that is held out and in one that is not.")

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, items: Tensor) -> Flow:
        """That of the data inside."""
        return self.data.batch(items)

    @property
    def training_items(self) -> Tensor | None:
        """Items of the base classes."""
        return self._base

    @property
    def evaluation_items(self) -> Tensor | None:
        """Items of the novel classes (or of the base classes, if so chosen)."""
        return self._novel if self.evaluate_on == "novel" else self._base

    @property
    def labels(self) -> Tensor | None:
        """All items' classes."""
        return self.data.labels

    @property
    def classes(self) -> Sequence[str]:
        """Names of all classes."""
        return self.data.classes

    @property
    def names(self) -> Sequence[str]:
        """Names of all items."""
        return self.data.names

    @property
    def groups(self) -> Sequence[str]:
        """Groups of all items."""
        return self.data.groups

    @property
    def splits(self) -> Mapping[str, Split]:
        """None: splits of the data inside mix base and novel classes."""
        return {}

    def fitted(self) -> Mapping[str, Tensor]:
        """What is kept of the data inside."""
        return self.data.fitted()

    def adopt(self, fitted: Mapping[str, Tensor]) -> None:
        """Treat the data inside by what was kept."""
        self.data.adopt(fitted)

    @classmethod
    def transforms(cls, fitted: Mapping[str, Tensor]) -> Mapping[str, nn.Module]:
        """None: this class does not know what is inside."""
        return {}

    @property
    def source(self) -> str:
        """That of the data inside, and what is held out."""
        return f"{self.data.source}; held out: {', '.join(self.novel)}"
