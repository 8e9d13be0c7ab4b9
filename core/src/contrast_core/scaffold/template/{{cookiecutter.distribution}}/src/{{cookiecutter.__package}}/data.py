"""A small real table that the package brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final

from contrast_core.data.table import Table
from contrast_core.interfaces import Data, Flow, Split
from torch import Tensor

FILE = Path(__file__).parent / "wine.csv"


@final
class Wine(Data):
    """178 wines of one region of Italy, 13 chemical measurements each, pressed from grapes of three cultivars.

    Source: Wine (S. Aeberhard, M. Forina, UCI Machine Learning Repository, doi:10.24432/C5PC7J, CC BY 4.0), the 178
    rows as they are, with names of columns. The file lies in this package; nothing is downloaded.

    Each feature has mean 0 and deviation 1 on the training rows. A batch of B items holds `features` (B, 13) float32,
    `sample` (B,) int64, and `label` (B,) int64, -1 where the label is not shown.

    Args:
        validation: fraction of the rows to choose a probe on.
        test: fraction of the rows to test a probe on.
        split_seed: of the split "all", in which every class is in proportion.
        shown: whose labels batches hold: of the "train" rows, so that a supervised objective never sees a label that
            is tested on, or of "all" or "none". Evaluators always see all labels.

    Raises:
        ValueError: if the fractions leave nothing to train a probe on.

    Paper: none.
    """

    def __init__(
        self,
        validation: float = 0.1,
        test: float = 0.4,
        split_seed: int = 0,
        shown: Literal["train", "all", "none"] = "train",
    ):
        # Reading, splitting and standardising are the core's; this class says which file, and whose it is.
        self._table = Table(
            FILE,
            label="cultivar",
            validation=validation,
            test=test,
            split_seed=split_seed,
            shown=shown,
        )
        self.gives = tuple(self._table.gives)

    def load(self) -> None:
        """Read the table from the package."""
        self._table.load()

    def __len__(self) -> int:
        return len(self._table)

    def batch(self, items: Tensor) -> Flow:
        """Features, numbers and shown labels of the items."""
        return self._table.batch(items)

    @property
    def labels(self) -> Tensor | None:
        """The cultivars by number, (178,) int64, from 0."""
        return self._table.labels

    @property
    def classes(self) -> Sequence[str]:
        """Names of the three cultivars."""
        return [f"cultivar {number}" for number in self._table.classes]

    @property
    def names(self) -> Sequence[str]:
        """A name a wine: its row in the table."""
        return self._table.names

    @property
    def splits(self) -> Mapping[str, Split]:
        """The split "all"."""
        return self._table.splits

    def fitted(self) -> Mapping[str, Tensor]:
        """Mean and deviation that features are standardised by."""
        return self._table.fitted()

    def adopt(self, fitted: Mapping[str, Tensor]) -> None:
        """Standardise by the statistics of another table."""
        self._table.adopt(fitted)

    @property
    def source(self) -> str:
        """Where the wines come from."""
        return "Wine (S. Aeberhard, M. Forina, UCI, doi:10.24432/C5PC7J, CC BY 4.0), 178 rows, 13 features"
