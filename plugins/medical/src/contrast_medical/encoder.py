"""Two networks for every image: one for what both groups share, one for what only the target group shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow


@final
class TwoSpaces(Encoder):
    """Two encoders of the same views without shared weights: common rows c and salient rows s of every image.

    Any two encoders will do that give tables under the same names, as two of `core/convnet` with the same views. What
    they train on becomes the fields `common` (B, d) and `salient` (B, e) of these tables; what they evaluate and
    export, usually what lies before their projection heads, the same fields of the embedding. The field z is both side
    by side, (B, d + e), common first.

    The tables have the common encoder's columns, and `role` (0 background, 1 target).

    Args:
        common: the encoder of what both groups share.
        salient: the encoder of what only the target shows.
        columns: further names of the batch that become columns of the tables, as "attributes".

    Raises:
        ValueError: if the two encoders give tables of different names; in use, if their tables differ in length.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928, which has two ResNet-18 here.
    """

    def __init__(self, common: Encoder, salient: Encoder, columns: Sequence[str] = ()):
        super().__init__()
        ours, theirs = (tuple(name for name in encoder.gives if "." not in name) for encoder in (common, salient))
        if set(ours) != set(theirs):
            raise ValueError(
                f"Both encoders must give tables of the same names; the common one gives {', '.join(ours)}, the "
                f"salient one {', '.join(theirs)}."
            )
        self.common, self.salient = common, salient
        self.embedding = common.embedding
        self.columns = ("role", *columns)
        self.needs = tuple(dict.fromkeys((*common.needs, *salient.needs, *self.columns)))
        given = [f"{table}.{name}" for table in ours for name in ("common", "salient", *self.columns)]
        self.gives = (*common.gives, *given)

    def prepare(self, flow: Flow) -> None:
        """Build the layers of both."""
        self.common.prepare(flow)
        self.salient.prepare(flow)

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """Both rows of each view."""
        common, salient = self.common(flow), self.salient(flow)
        return {name: self._beside(common[name], salient[name], flow) for name in common}

    def embed(self, flow: Flow) -> Embeddings:
        """Both representations of the view that is evaluated."""
        return self._beside(self.common.embed(flow), self.salient.embed(flow), flow)

    def _beside(self, common: Embeddings, salient: Embeddings, flow: Flow) -> Embeddings:
        fields = {"common": common.z.flatten(1), "salient": salient.z.flatten(1)}
        table = common.with_fields(z=torch.cat(tuple(fields.values()), 1), **fields)
        # An exported encoder is asked about images whose role nobody knows.
        known = {name: torch.as_tensor(flow[name]) for name in self.columns if name in flow}
        return table.with_columns(**known)
