"""The trainable parts of MEOW and AdaMEOW: projection, meta-path context, graph encoder, view attention.

MEOW (SDM 2023) and AdaMEOW (IEEE TKDE 2024, arXiv 2212.13847). Parameters are drawn from torch's default
generator.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_graph.sparse import Adjacency

Branch = tuple[Tensor, Adjacency | Sequence[Adjacency]]


@final
class WholeMatrixNorm(nn.Module):
    """(H - mean) / sqrt(var + eps) with mean and biased variance over all N x d entries; no affine part."""

    def __init__(self, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, features: Tensor) -> Tensor:
        """Normalise the whole matrix (any shape)."""
        return functional.layer_norm(features, features.shape, eps=self.eps)


@final
class TypeProjection(nn.Module):
    """h_t = elu(drop(X_t W_t + b_t)): the features of one node type in the common width.

    The same module serves X_0 and its masked copy, each call with fresh dropout. The authors' DBLP code uses
    no dropout for the masked copy; pass ``drop=False`` for that.
    """

    def __init__(self, features: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(features, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, features: Tensor | Adjacency, drop: bool = True) -> Tensor:
        """(n, features), dense or as a constant sparse matrix, to (n, width)."""
        projected = features @ self.linear.weight.t() + self.linear.bias
        return functional.elu(self.dropout(projected) if drop else projected)


@final
class ContextAggregation(nn.Module):
    """fine = elu(h_0 + sum_l drop(B_l h_l U_l)): a target node plus the nodes that lie on its meta-paths.

    One matrix U_l without bias for every context l of the meta-path. ACM, IMDB and AMiner have one context
    per meta-path; DBLP's longer meta-paths have one per hop. Every copy of the targets gets fresh dropout;
    with ``shared_dropout`` all copies get the same, as in the authors' DBLP code.
    """

    def __init__(self, width: int, contexts: int = 1, dropout: float = 0.0, *, shared_dropout: bool = False) -> None:
        super().__init__()
        self.transforms = nn.ModuleList(nn.Linear(width, width, bias=False) for _ in range(contexts))
        self.dropout = nn.Dropout(dropout)
        self.shared_dropout = shared_dropout

    def forward(self, targets: Sequence[Tensor], contexts: Sequence[tuple[Adjacency, Tensor]]) -> list[Tensor]:
        """The fine-grained features of each copy of the targets.

        Args:
            targets: copies of the target features, each (N, width), e.g. the plain and the masked one.
            contexts: for every context the averaging matrix B_l (N, n_l), see
                :func:`contrast_graph.metapaths.row_normalise`, and the features h_l (n_l, width).

        Raises:
            ValueError: the number of contexts is not the one the module was built for.
        """
        if len(contexts) != len(self.transforms):
            raise ValueError(
                f"This meta-path was built for {len(self.transforms)} contexts but got {len(contexts)}; "
                "pass one (incidence, features) pair per context."
            )
        pairs = zip(self.transforms, contexts, strict=True)
        messages = [transform(mean @ neighbours) for transform, (mean, neighbours) in pairs]
        if self.shared_dropout:
            message = self._dropped_sum(messages)
            return [functional.elu(target + message) for target in targets]
        return [functional.elu(target + self._dropped_sum(messages)) for target in targets]

    def _dropped_sum(self, messages: Sequence[Tensor]) -> Tensor:
        dropped: list[Tensor] = [self.dropout(message) for message in messages]
        return torch.stack(dropped).sum(0) if len(dropped) > 1 else dropped[0]


@final
class GraphConvolution(nn.Module):
    """The shared two-layer graph encoder g(H, A).

    H_1 = PReLU(A drop(H V_1)) with one slope (0.25 at the start), H_2 = A drop(H_1 V_2), and g = the
    whole-matrix normalisation of H_2. No biases; V_l starts uniform in +-1/sqrt(columns of V_l).
    """

    def __init__(self, features: int, hidden: int, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.empty(features, hidden).uniform_(-1 / sqrt(hidden), 1 / sqrt(hidden)))
        self.second = nn.Parameter(torch.empty(hidden, width).uniform_(-1 / sqrt(width), 1 / sqrt(width)))
        self.activation = nn.PReLU(init=0.25)
        self.dropout = nn.Dropout(dropout)
        self.norm = WholeMatrixNorm()

    def forward(self, branches: Sequence[Branch]) -> list[Tensor]:
        """Encode several branches at once, each (H, A) to (N, width), with fresh dropout for every one.

        A may be a sequence of adjacencies, which stands for their mean and is applied as the mean of the
        products. Branches that use the same dense :class:`~contrast_graph.sparse.Adjacency` object share one
        product per layer, because such a product is bound by reading the matrix and not by the number of
        columns.
        """
        adjacencies = [(a,) if isinstance(a, Adjacency) else tuple(a) for _, a in branches]
        hidden = [self.dropout(features @ self.first) for features, _ in branches]
        hidden = [self.activation(h) for h in _mean_products(adjacencies, hidden)]
        outputs = _mean_products(adjacencies, [self.dropout(h @ self.second) for h in hidden])
        return [self.norm(output) for output in outputs]


@final
class SemanticAttention(nn.Module):
    """z = sum_v beta_v z_v with beta = softmax_v(drop(q) . mean_i tanh(W_a z_v,i + b_a)).

    One weight per view, the same for all nodes. W_a and q start Xavier-normal with gain 1.414.
    """

    def __init__(self, width: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.query = nn.Parameter(torch.empty(1, width))
        self.dropout = nn.Dropout(dropout)
        for weight in (self.linear.weight, self.query):
            nn.init.xavier_normal_(weight, gain=1.414)

    def forward(self, views: Sequence[Tensor] | Tensor) -> tuple[Tensor, Tensor]:
        """Fuse V views of shape (N, width), or one (V, N, width) tensor; returns ((N, width), beta (V,))."""
        stacked = views if isinstance(views, Tensor) else torch.stack(list(views))
        summary = torch.tanh(self.linear(stacked)).mean(1)
        beta = torch.softmax(summary @ self.dropout(self.query).flatten(), 0)
        # Under autocast beta is of a narrower type than the normalised views.
        return torch.tensordot(beta.to(stacked.dtype), stacked, dims=1), beta


def _mean_products(adjacencies: Sequence[tuple[Adjacency, ...]], features: Sequence[Tensor]) -> list[Tensor]:
    """mean_a (a @ h) for every branch, with one product per distinct dense adjacency."""
    users: dict[Adjacency, list[int]] = {}  # by identity: Adjacency defines no equality
    for branch, used in enumerate(adjacencies):
        for adjacency in used:
            users.setdefault(adjacency, []).append(branch)
    products: list[list[Tensor]] = [[] for _ in features]
    for adjacency, indices in users.items():
        if adjacency.is_sparse:  # cost grows with the columns, so joining them would only copy
            parts = [adjacency @ features[branch] for branch in indices]
        else:
            joined = adjacency @ torch.cat([features[branch] for branch in indices], 1)
            parts = list(torch.split(joined, [features[branch].shape[1] for branch in indices], 1))
        for branch, part in zip(indices, parts, strict=True):
            products[branch].append(part)
    return [parts[0] if len(parts) == 1 else torch.stack(parts).mean(0) for parts in products]
