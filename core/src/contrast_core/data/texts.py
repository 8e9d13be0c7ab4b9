"""One's own texts: a text a line, or the columns of a CSV or JSON lines file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

from torch import Tensor

from contrast_core.data.labelled import LabelledData
from contrast_core.data.text_files import read_columns
from contrast_core.interfaces import Flow


@final
class Texts(LabelledData):
    """Texts with an item a line, or pairs of texts, and a label an item if wanted.

    A batch of B items holds `one` and `two`, lists of B texts, and `sample` (B,) int64; with labels also `label` (B,)
    int64, -1 where unknown or not shown. With one text column both lists hold the same texts, whose views differ by an
    encoder's dropout (SimCSE); with two columns an item is a pair, as a query and its passage. What is embedded in
    evaluation is `one`. The split "all" has every class in proportion; items of unknown label train.

    The file, by its ending:
        .txt    a text a line; empty lines are left out.
        .csv    the first line names the columns.
        .jsonl  an object a line; other keys than the named ones are ignored.

    Args:
        path: the file, in UTF-8.
        columns: one text column, or two; of a .txt file there is one, which has no name.
        label: the column of the labels, texts or whole numbers; an empty one is unknown. Left out, there are none.
        delimiter: between the cells of a CSV file.
        validation: fraction of the items to choose a probe on.
        test: fraction of the items to test a probe on.
        split_seed: of the split.
        shown: whose labels batches hold: of the "train" items, so that a supervised objective never sees a label that
            is tested on, or of "all" or "none". Evaluators always see all labels.

    Raises:
        ValueError: for fractions that leave nothing to train on, or another number of columns; when loading, for a file
            that is none of these, is empty, lacks a column or a text: the sentence names file and line.

    Paper: Gao et al., SimCSE: Simple Contrastive Learning of Sentence Embeddings, EMNLP 2021, arXiv 2104.08821.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str] = ("text",),
        label: str | None = None,
        delimiter: str = ",",
        validation: float = 0.1,
        test: float = 0.4,
        split_seed: int = 0,
        shown: Literal["train", "all", "none"] = "train",
    ):
        super().__init__(validation, test, split_seed, shown)
        if not 1 <= len(set(columns)) == len(columns) <= 2:
            raise ValueError(f"columns must hold one name, or two different ones, not {list(columns)}.")
        if len(delimiter) != 1:
            raise ValueError(f"delimiter must be one character, not {delimiter!r}.")
        self.gives = ("one", "two", "sample", *(("label", "embedding.label") if label is not None else ()))
        self.path, self.columns, self.label, self.delimiter = path, tuple(columns), label, delimiter
        self._texts: list[list[str]] = [[]]

    def load(self) -> None:
        """Read, check and split the texts."""
        found = read_columns(self.path, self.columns, [] if self.label is None else [self.label], self.delimiter)
        self._texts = [found[name] for name in self.columns]
        self._label(None if self.label is None else found[self.label], len(self))

    def __len__(self) -> int:
        return len(self._texts[0])

    def _inputs(self, items: Tensor) -> Flow:
        numbers = items.tolist()
        one, two = ([column[number] for number in numbers] for column in (self._texts[0], self._texts[-1]))
        return {"one": one, "two": two}

    @property
    def names(self) -> Sequence[str]:
        """The beginnings of the (first) texts."""
        return [text if len(text) <= 60 else text[:57] + "..." for text in self._texts[0]]

    @property
    def source(self) -> str:
        """The file's name and the number of items."""
        what = "texts" if len(self.columns) == 1 else "pairs of texts"
        return f"{self.path.name}: {len(self)} {what}"
