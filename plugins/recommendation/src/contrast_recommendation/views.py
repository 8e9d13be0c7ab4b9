"""Stochastic augmentations of item sequences: crop, mask, reorder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple, final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.interfaces import Flow, View

Operation = Literal["crop", "mask", "reorder"]
OPERATIONS: tuple[Operation, ...] = ("crop", "mask", "reorder")
CROP, MASK, REORDER, NOTHING = range(4)


class Ratios(NamedTuple):
    """Shares of a sequence: what a crop drops, what a mask hides, what is reordered."""

    crop: float = 0.5
    mask: float = 0.5
    reorder: float = 0.8

    def kept(self, length: Tensor) -> Tensor:
        """How many items a crop keeps, at least one, (n,) int64."""
        return (length.double() * (1 - self.crop)).floor().long().clamp(min=1)

    def masked(self, length: Tensor) -> Tensor:
        """How many items are masked, (n,) int64."""
        return (length.double() * self.mask).floor().long()

    def moved(self, length: Tensor) -> Tensor:
        """How many items are reordered, (n,) int64."""
        return (length.double() * self.reorder).floor().long()


@frozen(eq=False)
class Draw:
    """What is random in an augmentation.

    Args:
        operation: (n,) int64: 0 crop, 1 mask, 2 reorder, 3 nothing.
        begin: (n,) int64: the first place of what is cropped or reordered.
        index: (n, T) int64: the masked places, or the order of the reordered items, counted from `begin`; entries
            beyond their number are not read.
    """

    operation: Tensor
    begin: Tensor
    index: Tensor


def augment(items: Tensor, length: Tensor, draw: Draw, ratios: Ratios) -> tuple[Tensor, Tensor]:
    """The sequences (n, T) and lengths (n,) after each row's own operation; all int64.

    With m the number of items that the row's ratio says and b = begin:
    crop: new_j = old_{b + j} for j < m, 0 after, length m; mask: new_j = 0 for the first m of `index`;
    reorder: new_{b + j} = old_{b + index_j} for j < m. m is 0.5 n and so on rounded down, but a crop keeps one item.
    """
    place = torch.arange(items.shape[1], device=items.device).expand_as(items)
    operation, begin = draw.operation[:, None], draw.begin[:, None]
    kept, moved, hidden = (count(length)[:, None] for count in (ratios.kept, ratios.moved, ratios.masked))
    within = place - begin
    reordered = begin + draw.index.gather(1, within.clamp(0, items.shape[1] - 1))
    source = torch.where((operation == REORDER) & (within >= 0) & (within < moved), reordered, place)
    source = torch.where(operation == CROP, (place + begin).clamp(max=items.shape[1] - 1), source)
    found = items.gather(1, source)
    marks = torch.zeros_like(items).scatter_reduce(1, draw.index.clamp(min=0), (place < hidden).long(), "amax")
    gone = torch.where(operation == CROP, place >= kept, (operation == MASK) & (marks > 0))
    return found.masked_fill(gone, 0), torch.where(draw.operation == CROP, kept[:, 0], length)


def draw(length: Tensor, places: int, operation: Tensor, ratios: Ratios) -> Draw:
    """Start and order for given operations (n,), uniformly, from torch's global generator."""
    window = torch.where(operation == CROP, ratios.kept(length), ratios.moved(length))
    uniform = torch.rand(len(length), dtype=torch.float64, device=length.device)
    begin = (uniform * (length - window + 1)).long()
    # Random keys in order are a permutation; those of places beyond the window (for a mask: the sequence) come last.
    limit = torch.where(operation == MASK, length, window)[:, None]
    place = torch.arange(places, device=length.device)
    keys = torch.rand(len(length), places, device=length.device).masked_fill(place >= limit, 2.0)
    return Draw(operation, begin, keys.argsort(1))


def two_operations(length: Tensor, among: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Two different ones of the operations for each row, (n,) each; nothing for a row of length 1."""
    choices = torch.tensor(among, device=length.device)
    drawn = choices[torch.rand(len(length), len(among), device=length.device).argsort(1)[:, :2]]
    drawn = drawn.masked_fill((length < 2)[:, None], NOTHING)
    return drawn[:, 0], drawn[:, 1]


@final
class SequenceAugmentation(View):
    """Two augmented copies of every sequence, made by two different operations; drawn anew each time.

    Of a sequence of n items, crop keeps floor(n (1 - crop)) consecutive ones, mask turns floor(n mask) of them into
    item 0, reorder shuffles floor(n reorder) consecutive ones. Two operations are drawn without replacement, the first
    makes view `one`, the second view `two`. A sequence of one item stays as it is. In evaluation mode nothing is
    drawn and both views are the sequences themselves.

    Reads `item_seq`, int64 (B, T), and `length`, int64 (B,); gives `item_seq_one`, `length_one`, `item_seq_two`,
    `length_two` of the same shapes.

    Args:
        crop: share of a sequence that a crop drops.
        mask: share that is masked.
        reorder: share that is reordered.
        operations: among which to draw, at least two; none leaves both views as they are, so that they differ by the
            encoder's dropout alone (as in DuoRec and SimCSE).

    Raises:
        ValueError: for shares outside of [0, 1) (reorder: [0, 1]), one operation alone, or one twice.

    Papers: CL4SRec, arXiv 2010.14395; MCLRec, arXiv 2304.07763. There a crop that would keep nothing fails; here it
    keeps one item.
    """

    needs = ("item_seq", "length")
    gives = ("item_seq_one", "length_one", "item_seq_two", "length_two")

    def __init__(
        self,
        crop: float = 0.5,
        mask: float = 0.5,
        reorder: float = 0.8,
        operations: Sequence[Operation] = OPERATIONS,
    ):
        super().__init__()
        if not (0 <= crop < 1 and 0 <= mask < 1 and 0 <= reorder <= 1):
            raise ValueError(f"crop and mask lie in [0, 1) and reorder in [0, 1], not at {crop}, {mask}, {reorder}.")
        if len(operations) == 1 or len(set(operations)) < len(operations):
            raise ValueError(f"operations are two or three different ones, or none, not {list(operations)}.")
        self.ratios = Ratios(crop, mask, reorder)
        self.operations = tuple(OPERATIONS.index(operation) for operation in operations)

    def forward(self, flow: Flow) -> Flow:
        """Both views."""
        items, length = flow["item_seq"], flow["length"]
        views = [(items, length), (items, length)]
        if self.training and self.operations:
            chosen = two_operations(length, self.operations)
            views = [
                augment(items, length, draw(length, items.shape[1], operation, self.ratios), self.ratios)
                for operation in chosen
            ]
        (one, length_one), (two, length_two) = views
        return {"item_seq_one": one, "length_one": length_one, "item_seq_two": two, "length_two": length_two}
