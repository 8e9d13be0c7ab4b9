"""MEOW's encoder: one graph convolution for every view, attention over the fine ones, one projection head."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Encoder, Flow
from contrast_graph.layers import (
    Branch,
    ContextAggregation,
    GraphConvolution,
    SemanticAttention,
    TypeProjection,
)
from contrast_graph.views import Context, GraphView


@final
class MetapathEncoder(Encoder):
    """Tables `coarse` and `fine` (projected, unit rows) and `embedding` (before the projection).

    h_0 = elu(X_0 W_0 + b_0) of the target nodes, h_t likewise of the other types; with the context c_m of meta-path m,
    fine_m = elu(h_0 + c_m U_m). One two-layer graph convolution g serves all views: z_c = g(h_0, mean_m A_m),
    z_m = g(fine_m, A_m), z'_m = g(fine'_m, A'_m). Unit rows of z_0, z'_0, z_1, z'_1 ... are fused by attention over
    views to the embedding z = sum_v beta_v z_v. Projection: p = unit(tanh(W_p z + b_p)), the same for coarse and fine.

    Args:
        width: of all hidden layers and of the embedding; projection: of the rows that are contrasted.
        dropout: after every linear map, and on the attention's query.
        context: add the meta-path context (off: fine_m = elu(h_0), an ablation).
        masked: use the masked copies (off: an ablation).

    Raises:
        ValueError: for a width or projection below 1, or a dropout outside [0, 1).

    Paper: MEOW, SDM 2023. The authors evaluate the embedding of the last training step, dropout on; here evaluation
    makes a pass of its own without dropout.
    """

    needs = ("coarse", "fine", "fine-masked", "context", "sample")
    gives = ("coarse", "fine", "embedding", "coarse.sample", "fine.sample", "coarse.z", "fine.z")

    def __init__(
        self,
        width: int = 64,
        projection: int = 64,
        dropout: float = 0.2,
        context: bool = True,
        masked: bool = True,
    ):
        super().__init__()
        if min(width, projection) < 1 or not 0 <= dropout < 1:
            raise ValueError(f"width = {width} and projection = {projection} must be at least 1, dropout in [0, 1).")
        self.width, self.dropout, self.context, self.masked = width, dropout, context, masked
        self.convolution = GraphConvolution(width, width, width, dropout)
        self.attention = SemanticAttention(width, dropout)
        self.projection = nn.Linear(width, projection)

    def prepare(self, flow: Flow) -> None:
        """Make one projection a node type and one context transformation a meta-path."""
        fine: GraphView = flow["fine"]
        context: Context = flow["context"]
        self.target = TypeProjection(fine.features.shape[1], self.width, self.dropout)
        kinds = context.features if self.context else {}
        # A list, because the types' names are the user's and may be no names of modules ("items", "a.b").
        self.types = nn.ModuleList(TypeProjection(x.shape[1], self.width, self.dropout) for x in kinds.values())
        self.contexts = nn.ModuleList(
            ContextAggregation(self.width, len(hops), self.dropout) for hops in (context.hops if self.context else ())
        )

    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """All three tables, one row a target node."""
        coarse, embedding = self.encode(flow["coarse"], flow["fine"], flow["fine-masked"], flow["context"])
        sample = flow["sample"]
        projected = {
            name: functional.normalize(torch.tanh(self.projection(z)), dim=1)
            for name, z in (("coarse", coarse), ("fine", embedding))
        }
        return {name: Embeddings.of(z, sample=sample) for name, z in (*projected.items(), ("embedding", embedding))}

    def encode(self, coarse: GraphView, fine: GraphView, masked: GraphView, context: Context) -> tuple[Tensor, Tensor]:
        """(z_c, z), both (N, width), before the projection."""
        h = self.target(fine.features)
        copies = [h, self.target(masked.features)] if self.masked else [h]
        per_path = self._with_context(copies, context, len(fine.adjacencies))
        branches: list[Branch] = [(h, coarse.adjacencies)]
        for m, enriched in enumerate(per_path):
            views = (fine, masked) if self.masked else (fine,)
            branches += [(x, view.adjacencies[m]) for x, view in zip(enriched, views, strict=True)]
        z_coarse, *z_fine = self.convolution(branches)
        embedding, _ = self.attention([functional.normalize(z, dim=1) for z in z_fine])
        return z_coarse, embedding

    def _with_context(self, copies: list[Tensor], context: Context, paths: int) -> list[list[Tensor]]:
        if not self.context:
            return [[functional.elu(h) for h in copies]] * paths
        projected = {
            kind: projection(x) for projection, (kind, x) in zip(self.types, context.features.items(), strict=True)
        }
        return [
            aggregate(copies, [(mean, projected[kind]) for kind, mean in hops])
            for aggregate, hops in zip(self.contexts, context.hops, strict=True)
        ]
