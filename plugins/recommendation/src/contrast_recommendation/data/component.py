"""The data component: interactions from whichever file the settings name, as samples of next-item prediction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final, overload

import numpy as np
import torch
from torch import Tensor

from contrast_core.embeddings import code
from contrast_core.interfaces import Data, Flow, Split
from contrast_recommendation.data.delimited import read_atomic, read_csv
from contrast_recommendation.data.lists import read_lists
from contrast_recommendation.data.log import Fields, Log
from contrast_recommendation.data.movielens import ABOUT, movielens
from contrast_recommendation.data.parquet import read_parquet
from contrast_recommendation.data.samples import Samples, leave_one_out
from contrast_recommendation.data.sequences import Sequences, sequences

ENDINGS = ".inter (RecBole), .csv, .tsv, .parquet or .txt (a user and his items in each line)"


@final
class Interactions(Data):
    """Who interacted with what, in which order; a data item is a history and the item that follows it.

    A batch of B samples holds `item_seq` (B, max_length) int64, the latest items of the history in order, zeros after;
    `length` (B,); `target` (B,), the next item; `sample` (B,), their numbers; `items`, how many item ids there are
    (1..items; 0 is padding). All are int64.

    Every prefix of a training sequence trains; each user's last item tests and the one before validates (leave one
    out; see `data.samples`). Items and users are numbered in the order of the file. A trained model keeps the numbers,
    so other files are read by them.

    Args:
        path: the file, by its ending .inter (RecBole's atomic file), .csv, .tsv, .parquet or .txt (lines `user item
            item ...`), or the folder of a RecBole data set. None: MovieLens 100K, which lies in the package recbole.
        user, item, time, rating: names of the columns; files with a user and his items in each line have none.
        order: "time" orders by the column `time`, rows of equal time by the file; "file" takes the file's order and
            reads no times. A table without times is refused unless "file" is asked for, since an order that nobody
            checked would leak the future into training.
        minimum_rating: leave lower ratings out, if given.
        user_minimum, item_minimum: leave users and items with fewer interactions out, until all have as many.
        max_length: most items of a history; older ones are forgotten.
        required: refuse to run without a path (for recipes whose settings belong to one data set).

    Raises:
        ValueError: by `load`, in one sentence with file and line, if a file is missing, damaged or does not fit, or
            nothing is left to train on or to evaluate.
    """

    gives = ("item_seq", "length", "target", "sample", "items")

    def __init__(
        self,
        path: Path | None = None,
        user: str = "user_id",
        item: str = "item_id",
        time: str = "timestamp",
        rating: str = "rating",
        order: Literal["time", "file"] = "time",
        minimum_rating: float | None = None,
        user_minimum: int = 5,
        item_minimum: int = 5,
        max_length: int = 50,
        required: bool = False,
    ):
        if required and path is None:
            raise ValueError("this recipe's settings belong to one data set: give its file with --set data.path=FILE.")
        for name, number in (
            ("user_minimum", user_minimum),
            ("item_minimum", item_minimum),
            ("max_length", max_length),
        ):
            if number < 1:
                raise ValueError(f"{name} = {number} must be at least 1.")
        self.path = path
        self.fields = Fields(
            user, item, time if order == "time" else None, rating if minimum_rating is not None else None
        )
        if len(set(self.fields.named())) < len(self.fields.named()):
            raise ValueError(f"user, item, time and rating must be different columns, not {self.fields.named()}.")
        self.minimum_rating, self.max_length = minimum_rating, max_length
        self.user_minimum, self.item_minimum = user_minimum, item_minimum
        self._found: tuple[Sequences, Samples] | None = None

    def load(self) -> None:
        """Read, filter, order and split."""
        self._take(
            sequences(
                self._log(),
                user_minimum=self.user_minimum,
                item_minimum=self.item_minimum,
                minimum_rating=self.minimum_rating,
            )
        )

    def _log(self) -> Log:
        path = movielens() if self.path is None else self.path
        if path.is_dir():
            path = path / f"{path.name}.inter"
        match path.suffix.lower():
            case ".inter":
                return read_atomic(path, self.fields)
            case ".csv":
                return read_csv(path, self.fields)
            case ".tsv":
                return read_csv(path, self.fields, "\t")
            case ".parquet":
                return read_parquet(path, self.fields)
            case ".txt":
                if self.minimum_rating is not None:
                    raise ValueError(f"{path.name} holds users and items alone: leave data.minimum_rating out.")
                return read_lists(path)
        raise ValueError(f"{path.name} must be a file {ENDINGS}, by its ending.")

    def _take(self, found: Sequences) -> None:
        self._found = found, leave_one_out(found, self.max_length)

    @property
    def sequences(self) -> Sequences:
        """One sequence a user.

        Raises:
            ValueError: if `load` was not called.
        """
        return self._loaded()[0]

    @property
    def samples(self) -> Samples:
        """Histories and targets by number.

        Raises:
            ValueError: if `load` was not called.
        """
        return self._loaded()[1]

    def _loaded(self) -> tuple[Sequences, Samples]:
        if self._found is None:
            raise ValueError("The interactions are not loaded yet: call load() first.")
        return self._found

    def __len__(self) -> int:
        return len(self.samples.stop)

    def batch(self, items: Tensor) -> Flow:
        """Histories and targets of the samples."""
        history, length = self.samples.histories(items)
        return {
            "item_seq": history,
            "length": length,
            "target": self.samples.targets(items),
            "sample": items,
            "items": torch.tensor(len(self.sequences.names)),
        }

    @property
    def training_items(self) -> Tensor:
        """The training samples."""
        return self.samples.train

    @property
    def evaluation_items(self) -> Tensor:
        """The validation samples, then the test samples."""
        return torch.cat([self.samples.validation, self.samples.test])

    @property
    def splits(self) -> Mapping[str, Split]:
        """The one split "leave-one-out"."""
        return {"leave-one-out": Split(self.samples.train, self.samples.validation, self.samples.test)}

    @property
    def names(self) -> Sequence[str]:
        """The user of each sample."""
        return _Users(self.sequences.users, self.samples.user)

    def fitted(self) -> Mapping[str, Tensor]:
        """Which item has which id: a code a name (see `contrast_core.embeddings.code`), in the order of the ids."""
        return {"items": torch.tensor([code(name) for name in self.sequences.names])}

    def adopt(self, fitted: Mapping[str, Tensor]) -> None:
        """Give the items the ids that a trained model knows them by; raises ValueError for an item it does not know."""
        codes = np.array([code(name) for name in self.sequences.names])
        self._take(self.sequences.renumbered(fitted["items"].numpy(), codes))

    @property
    def source(self) -> str:
        """What the data are, where they come from, their licence, and how much is left of them."""
        found, samples = self._loaded()
        what = ABOUT if self.path is None else f"{self.path.name}."
        size = (
            f"{len(found.users):,} users, {len(np.unique(found.items)):,} items, {len(found.items):,} interactions: "
            f"{len(samples.train):,} training samples, {len(samples.test):,} users evaluated."
        )
        return " ".join(text for text in (what, size, found.notes) if text)


@final
class _Users(Sequence[str]):
    """The user's name of each sample, looked up when asked for: samples may be many millions."""

    def __init__(self, users: Sequence[str], user: Tensor):
        self._users, self._user = users, user

    @overload
    def __getitem__(self, place: int) -> str: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[str]: ...
    def __getitem__(self, place: int | slice) -> str | Sequence[str]:
        if isinstance(place, slice):
            return [self._users[number] for number in self._user[place].tolist()]
        return self._users[int(self._user[place])]

    def __len__(self) -> int:
        return len(self._user)
