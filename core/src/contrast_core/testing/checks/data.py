"""Data sets: batches under the names they declare, items that stay what they are, splits that do not overlap."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import torch
from torch import Tensor

from contrast_core.interfaces import Data
from contrast_core.testing.bench import Bench, close, equal, generators_kept, tensors_of
from contrast_core.testing.checks import at_work
from contrast_core.testing.order import order_by
from contrast_core.testing.outcome import Skip, Violation


def _loaded(bench: Bench) -> Data:
    _, part = bench.composition()
    data: Data = part
    return data


@at_work
def batches_hold_what_it_says(bench: Bench) -> None:
    """A batch has the names in `gives`, and `sample` is the numbers of its items."""
    data = _loaded(bench)
    items = bench.items()
    batch = data.batch(items)
    missing = [name for name in data.gives if "." not in name and name not in batch]
    if missing:
        raise Violation(f"It declares gives = {sorted(data.gives)}, but a batch lacks '{missing[0]}'.")
    if not data.whole and not torch.equal(torch.as_tensor(batch.get("sample", -1)), items):
        raise Violation("A batch's 'sample' must be the numbers of its items.")
    if "embedding.label" in set(data.gives) and data.labels is None:
        raise Violation("It declares labels (embedding.label), but has none.")


@at_work
def an_item_stays_what_it_is(bench: Bench) -> None:
    """An item is the same in whatever batch and order it comes, and a second loading gives the same."""
    data = _loaded(bench)
    if data.whole:
        raise Skip("its batch is always the whole data set.")
    items = bench.items()
    order = order_by(items)
    torch.manual_seed(0)
    plain = data.batch(items)
    again, other = data.batch(items[order]), _loaded(bench).batch(items)
    half = len(items) // 2
    fewer = tensors_of(data.batch(items[:half]))
    torch.manual_seed(0)
    if any(not equal(x, tensors_of(data.batch(items))[name]) for name, x in tensors_of(plain).items()):
        raise Skip("it draws at random.")
    for name, x in tensors_of(plain).items():
        if x.dim() and len(x) == len(items):
            _alike(tensors_of(again)[name], x[order], f"'{name}' depends on the order of the items")
            _alike(fewer[name], x[:half], f"'{name}' of an item depends on the others in its batch")
        close(tensors_of(other)[name], x, f"Loaded twice, '{name}' differs", 0.0)


def _alike(found: Tensor, expected: Tensor, what: str) -> None:
    """Raise Violation unless they are equal; sequences may be padded to the longest of their batch."""
    if found.shape != expected.shape and found.shape[:1] == expected.shape[:1] and found.dim() == 2:
        width = min(found.shape[1], expected.shape[1])
        found, expected = found[:, :width], expected[:, :width]
    close(found, expected, what, 0.0)


@at_work
def splits_do_not_overlap(bench: Bench) -> None:
    """Parts of a split are item numbers, without an item in two of them; labels are one an item."""
    data = _loaded(bench)
    labels = data.labels
    if labels is not None and (labels.dtype != torch.int64 or labels.shape != (len(data),)):
        raise Violation(f"Labels must be int64 of shape ({len(data)},), not {labels.dtype} {tuple(labels.shape)}.")
    if data.names and len(data.names) != len(data):
        raise Violation(f"There are {len(data.names)} names for {len(data)} items.")
    for name, split in data.splits.items():
        parts = {"train": split.train, "val": split.val, "test": split.test}
        for title, part in parts.items():
            if part.dtype != torch.int64 or (len(part) and not (0 <= int(part.min()) <= int(part.max()) < len(data))):
                raise Violation(f"The {title} part of split '{name}' must hold numbers of items, int64.")
        for (one, a), (two, b) in combinations(parts.items(), 2):
            if bool(torch.isin(a, b).any()):
                raise Violation(f"In split '{name}' an item is in {one} and in {two}.")


@at_work
def says_where_it_comes_from(bench: Bench) -> None:
    """`source` says what the data are."""
    if len(_loaded(bench).source) < 10:
        raise Violation("Its `source` must say what the data are, where they come from and under which licence.")


@at_work
def loading_leaves_generators_alone(bench: Bench) -> None:
    """Loading and batching draw nothing from the global generators (draw from a generator of your own)."""
    from contrast_core.compose import compose

    data: Any = compose(bench.example.recipe, bench.session.registry).parts[bench.example.path].part
    with generators_kept("Loading"):
        data.load()


CHECKS = (
    batches_hold_what_it_says,
    an_item_stays_what_it_is,
    splits_do_not_overlap,
    says_where_it_comes_from,
    loading_leaves_generators_alone,
)
