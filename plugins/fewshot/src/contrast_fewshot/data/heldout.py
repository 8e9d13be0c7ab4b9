"""Any labelled data set, some of whose classes are kept for episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn

from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Data, Flow, Split


@final
class HeldOut(Data):
    """Training draws the items of the base classes; those of the novel classes are embedded and evaluated.

    Batches, labels and names are those of the data inside.

    Args:
        data: a data set with labels.
        novel: names of the classes that are held out.
        evaluate_on: "novel" for the test, or "base" to choose settings on classes that were trained on.

    Raises:
        ValueError: by `load`, if the data have no labels or no such class, or no class is left to train on.
    """

    def __init__(self, data: Data, novel: Sequence[str], evaluate_on: str = "novel"):
        if not novel:
            raise ValueError('Name the classes that are held out, for example novel = ["6", "7", "8", "9"].')
        if evaluate_on not in ("novel", "base"):
            raise ValueError(f"evaluate_on = '{evaluate_on}' must be 'novel' or 'base'.")
        self.data, self.novel, self.evaluate_on = data, tuple(novel), evaluate_on
        self.gives, self.whole = data.gives, data.whole
        self._base = self._novel = torch.empty(0, dtype=torch.int64)

    def load(self) -> None:
        """Load the data inside and part its items."""
        self.data.load()
        labels, classes = self.data.labels, list(self.data.classes)
        if labels is None:
            raise ValueError("Classes can only be held out of data with labels; these have none.")
        for name in self.novel:
            if name not in classes:
                have = ", ".join(classes[:12]) + (", ..." if len(classes) > 12 else "")
                raise ValueError(f"There is no class '{name}' to hold out, only {have}.{did_you_mean(name, classes)}")
        held = torch.isin(labels, torch.tensor([classes.index(name) for name in self.novel]))
        self._base, self._novel = ((~held).nonzero().squeeze(1), held.nonzero().squeeze(1))
        if not len(self._base):
            raise ValueError("All classes are held out, so that nothing is left to train on; name fewer.")

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
