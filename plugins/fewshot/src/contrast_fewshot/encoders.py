"""The predictor of a student, around any encoder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

from torch import nn

from contrast_core.embeddings import Embeddings
from contrast_core.errors import did_you_mean
from contrast_core.interfaces import Encoder, Flow


@final
class Predicting(Encoder):
    """An encoder, and a predictor q of some of its tables: p = q(z), under `NAME-predicted`.

    q is Linear d to hidden, BatchNorm, ReLU, Linear hidden to d; rows of each table are normalised by themselves. Put
    around `core/momentum` it predicts the student's tables, and the teacher has none, as in BYOL and BECLR. Evaluation
    and export use the encoder alone.

    Args:
        encoder: whose tables are predicted.
        tables: which of them.
        hidden: the predictor's bottleneck; d // 4 if left out.
        batch_norm: normalise the bottleneck over the batch.

    Raises:
        ValueError: if the encoder gives no such table, or the bottleneck is below 1.

    Papers: Grill et al., BYOL, arXiv 2006.07733; BECLR, ICLR 2024, arXiv 2402.02444.
    """

    def __init__(
        self,
        encoder: Encoder,
        tables: Sequence[str] = ("one", "two"),
        hidden: int | None = None,
        batch_norm: bool = True,
    ):
        super().__init__()
        have = [name for name in encoder.gives if "." not in name]
        for table in tables:
            if table not in have:
                raise ValueError(
                    f"The encoder gives no table '{table}', only {', '.join(have)}.{did_you_mean(table, have)}"
                )
        if hidden is not None and hidden < 1:
            raise ValueError(f"hidden = {hidden} must be at least 1.")
        self.encoder, self.tables, self.hidden, self.batch_norm = encoder, tuple(tables), hidden, batch_norm
        self.embedding, self.shared = encoder.embedding, tuple(encoder.shared)
        self.independent_rows = encoder.independent_rows
        self.needs = tuple(encoder.needs)
        predicted = [name.partition(".") for name in encoder.gives if name.partition(".")[0] in self.tables]
        self.gives = (*encoder.gives, *(f"{table}-predicted{dot}{column}" for table, dot, column in predicted))
        self.predictor: nn.Sequential

    def prepare(self, flow: Flow) -> None:
        """Build the encoder, then the predictor for the width of its tables."""
        self.encoder.prepare(flow)
        width = self.encoder(flow)[self.tables[0]].z.shape[1]
        hidden = max(1, width // 4) if self.hidden is None else self.hidden
        norm = [nn.BatchNorm1d(hidden)] if self.batch_norm else []
        self.predictor = nn.Sequential(nn.Linear(width, hidden), *norm, nn.ReLU(), nn.Linear(hidden, width))

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """The encoder's tables and the predictions."""
        found = dict(self.encoder(flow))
        for table in self.tables:
            found[f"{table}-predicted"] = found[table].with_fields(z=self.predictor(found[table].z))
        return found

    def embed(self, flow: Flow) -> Embeddings:
        """The encoder's embedding."""
        return self.encoder.embed(flow)
