"""One's own numbers: a CSV file, or the arrays of a NumPy file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor, nn

from contrast_core.data.files import Columns, read_arrays, read_csv
from contrast_core.data.labelled import LabelledData
from contrast_core.data.standardising import Standardise
from contrast_core.interfaces import Flow


@final
class Table(LabelledData):
    """A numeric table with a row an item, and a label a row if wanted.

    A batch of B items holds `features` (B, k) float32 and `sample` (B,) int64; with labels also `label` (B,)
    int64, -1 where unknown or not shown. The split "all" has every class in proportion; rows of unknown label
    train.

    The file, by its ending:
        .csv  the first line names the columns; every column but `label`, `name` and those in `ignore` is a
              feature. Cells are finite numbers; an empty label is unknown.
        .npy  one array (n, k), without labels.
        .npz  the array `features` (n, k), and the arrays (n,) that `label` and `name` name; negative labels
              are unknown ones.

    Args:
        path: the file.
        label: the column (or array) of the labels, texts or whole numbers; left out, there are none.
        name: the column (or array) that names the items for people; left out, they are numbered.
        ignore: columns of a CSV file that are no features.
        delimiter: between the cells of a CSV file.
        standardise: subtract each feature's mean and divide by its (population) deviation, computed on the
            "train" rows of the split, on "all" rows, or "none". A constant feature becomes zero. A trained model
            keeps them: another file that it embeds is standardised like the one it was trained on.
        validation: fraction of the rows to choose a probe on.
        test: fraction of the rows to test a probe on.
        split_seed: of the split.
        shown: whose labels batches hold: of the "train" rows, so that a supervised objective never sees a
            label that is tested on, or of "all" or "none". Evaluators always see all labels.

    Raises:
        ValueError: for fractions that leave nothing to train on; when loading, for a file that is none of
            these, is empty, or does not fit: the sentence names file, line and column.
    """

    def __init__(
        self,
        path: Path,
        label: str | None = None,
        name: str | None = None,
        ignore: Sequence[str] = (),
        delimiter: str = ",",
        standardise: Literal["train", "all", "none"] = "train",
        validation: float = 0.1,
        test: float = 0.4,
        split_seed: int = 0,
        shown: Literal["train", "all", "none"] = "train",
    ):
        super().__init__(validation, test, split_seed, shown)
        if len(delimiter) != 1:
            raise ValueError(f"delimiter must be one character, not {delimiter!r}.")
        self.gives = ("features", "sample", *(("label", "embedding.label") if label is not None else ()))
        self.path, self.columns = path, Columns(label, name, tuple(ignore), delimiter)
        self.standardise = standardise
        self._raw = torch.empty(0, 0, dtype=torch.float64)
        self._features = torch.empty(0, 0)
        self._names: Sequence[str] = ()

    def load(self) -> None:
        """Read, check, split and standardise the table."""
        ending = self.path.suffix.lower()
        if ending not in (".csv", ".npy", ".npz"):
            raise ValueError(f"{self.path.name} must be a .csv, .npy or .npz file, by its ending.")
        found = (read_csv if ending == ".csv" else read_arrays)(self.path, self.columns)
        count = len(found.features)
        self._names = found.names or [f"row {number + 1}" for number in range(count)]
        self._label(found.labels, count)
        self._raw = torch.from_numpy(found.features).double()
        self._scale(*self._statistics())

    def __len__(self) -> int:
        return len(self._features)

    def _inputs(self, items: Tensor) -> Flow:
        return {"features": self._features[items]}

    @property
    def names(self) -> Sequence[str]:
        """The items' names."""
        return self._names

    @property
    def source(self) -> str:
        """The file's name and the table's size."""
        return f"{self.path.name}: {len(self)} rows, {self._features.shape[1]} features"

    def fitted(self) -> Mapping[str, Tensor]:
        """Mean and deviation that features are standardised by; a deviation of 0 marks a constant feature."""
        return {} if self.standardise == "none" else {"mean": self._mean, "deviation": self._deviation}

    @classmethod
    def transforms(cls, fitted: Mapping[str, Tensor]) -> Mapping[str, nn.Module]:
        """Standardising, if these data are standardised."""
        return {"features": Standardise(fitted["mean"], fitted["deviation"])} if fitted else {}

    def adopt(self, fitted: Mapping[str, Tensor]) -> None:
        """Standardise by the statistics of another table."""
        if fitted and self.standardise != "none":
            here, there = self._raw.shape[1], len(fitted["mean"])
            if here != there:
                raise ValueError(f"{self.path.name} has {here} features; the model was trained on {there}.")
            self._scale(fitted["mean"], fitted["deviation"])

    def _statistics(self) -> tuple[Tensor, Tensor]:
        if self.standardise == "none":
            return self._raw.new_zeros(self._raw.shape[1]), self._raw.new_ones(self._raw.shape[1])
        rows = self._raw[self._splits["all"].train] if self.standardise == "train" else self._raw
        mean, deviation = rows.mean(0), rows.std(0, correction=0)
        # A column of one large number has a deviation of rounding errors, not of exactly zero.
        return mean, deviation.masked_fill(deviation <= 1e-12 * mean.abs().clamp(min=1.0), 0.0)

    def _scale(self, mean: Tensor, deviation: Tensor) -> None:
        self._mean, self._deviation = mean, deviation
        self._features = Standardise(mean, deviation)(self._raw)
