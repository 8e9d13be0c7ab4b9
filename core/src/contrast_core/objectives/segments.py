"""Numbers that belong together: the views of an instance, the positives of an anchor."""

from __future__ import annotations

import math
from typing import final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.pairwise.linear import listed_logsumexp


@final
@frozen(eq=False)
class Segments:
    """Which of n numbers belong together.

    Args:
        number: (n,), the segment of each, from 0 to count - 1.
        count: how many segments there are; one may be empty.
    """

    number: Tensor
    count: int

    @classmethod
    def of_instances(cls, table: Embeddings) -> Segments:
        """Rows with the same `sample` are views of one instance.

        Raises:
            ValueError: if the table has no column `sample`.
        """
        if "sample" not in table:
            have = ", ".join([*table.fields, *table.columns])
            raise ValueError(
                f"The views of an instance share their entry in the column 'sample', which this table lacks: {have}."
            )
        instances, number = torch.unique(table["sample"], return_inverse=True)
        return cls(number, len(instances))

    def sum(self, values: Tensor) -> Tensor:
        """The sum of each segment of (n, ...): (count, ...)."""
        return values.new_zeros(self.count, *values.shape[1:]).index_add(0, self.number, values)

    def sizes(self) -> Tensor:
        """How many numbers each segment has, (count,)."""
        return torch.bincount(self.number, minlength=self.count)

    def logsumexp(self, values: Tensor) -> Tensor:
        """log sum exp of each segment of (n,): (count,); -inf, without gradient, for nothing but -inf."""
        return listed_logsumexp(values, values != -math.inf, self.number, self.count)

    def softmax(self, values: Tensor) -> Tensor:
        """exp of (n,) over its sum in the segment, (n,); 0 for -inf."""
        total = self.logsumexp(values)
        return torch.exp(values - total.masked_fill(total == -math.inf, 0.0)[self.number])
