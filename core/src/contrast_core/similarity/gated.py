"""Similarities in the subspace that a gate of the anchor selects."""

from __future__ import annotations

import torch
from attrs import frozen
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings, at_least_float32
from contrast_core.similarity.base import Bilinear, Rows, Similarity, need_field, need_vectors


class _Gated(Similarity):
    """What both share: vectors on both sides, and a gate of each anchor; candidates need none."""

    field: str
    gate: str
    two_sided = True

    def check(self, anchors: Embeddings, candidates: Embeddings) -> None:
        """Raise ValueError if the fields are no vectors of one length, or the anchors lack a gate of that length."""
        Similarity.check(self, anchors, candidates)
        need_vectors(self, anchors[self.field], candidates[self.field])
        need_field(self, "anchors", anchors, self.gate)
        shape, wanted = tuple(anchors[self.gate].shape), tuple(anchors[self.field].shape)
        if shape != wanted:
            raise ValueError(f"The similarity {self} needs a gate of the shape of the anchors, {wanted}, not {shape}.")


@frozen
class GatedCosine(_Gated):
    """s(a, c) = cos(a * g, c * g), the cosine of both vectors times the anchor's gate g, entry by entry.

    It is two matrix products, with h = g^2, and no tensor of n m d numbers:

        s_ij = ((u_i * g_i) . c_j) / sqrt(h_i . c_j^2),   u_i = a_i * g_i / |a_i * g_i|

    Every norm is taken as at least eps, so that a vector without anything behind the gate has s = 0. The field and
    the gate are (n, d).

    Paper: arXiv 2410.18200 (v1, Hydra), whose code forms all n m d gated entries.
    """

    field: str = "z"
    gate: str = "gate"
    eps: float = 1e-12

    @property
    def tensors(self) -> int:
        """One for each of the two products."""
        return 2

    def prepare(self, table: Embeddings) -> Rows:
        """u * g and h."""
        gate = at_least_float32(table[self.gate])
        # The cosine is the same for a gate of any scale; squares of a nearly closed one would vanish.
        gate = gate / gate.detach().abs().amax(1, keepdim=True).clamp(min=torch.finfo(gate.dtype).tiny)
        gated = functional.normalize(at_least_float32(table[self.field]) * gate, dim=1, eps=self.eps)
        return gated * gate, gate * gate

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """Unit rows and their squares."""
        rows = functional.normalize(at_least_float32(table[self.field]), dim=1, eps=self.eps)
        return rows, rows * rows

    def between(self, a: Rows, c: Rows) -> Tensor:
        """Quotients of the two products."""
        return self._quotient(a[0] @ c[0].T, a[1] @ c[1].T)

    def listed(self, a: Rows, c: Rows) -> Tensor:
        """Row-wise quotients."""
        return self._quotient((a[0] * c[0]).sum(1), (a[1] * c[1]).sum(1))

    def _quotient(self, product: Tensor, square: Tensor) -> Tensor:
        return product / square.clamp(min=self.eps**2).sqrt()

    def numbers_per_pair(self, a: Rows, c: Rows) -> int:
        """One for each of the two products."""
        return 2


@frozen
class GatedDot(_Gated, Bilinear):
    """s(a, c) = (u * g * g) . v for the unit vectors u = a / |a| and v = c / |c| and the anchor's gate g.

    Not normalised again after gating: a closing gate makes logits small. It is a plain inner product of prepared
    vectors, as cheap as the cosine. SimLAP's further term -alpha u . v is a `WeightedSum` of this and `Cosine` with
    the weights 1 and -alpha. The field and the gate are (n, d); a row shorter than eps is divided by eps.

    Paper: arXiv 2410.18200 (v2, SimLAP).
    """

    field: str = "z"
    gate: str = "gate"
    eps: float = 1e-12

    def prepare(self, table: Embeddings) -> Rows:
        """Unit rows times the square of the gate."""
        gate = at_least_float32(table[self.gate])
        return (functional.normalize(at_least_float32(table[self.field]), dim=1, eps=self.eps) * gate * gate,)

    def prepare_candidates(self, table: Embeddings) -> Rows:
        """Unit rows."""
        return (functional.normalize(at_least_float32(table[self.field]), dim=1, eps=self.eps),)
