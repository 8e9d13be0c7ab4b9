"""The views of MEOW: the same target nodes seen coarsely, finely, and finely with holes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, final

import numpy as np
import scipy.sparse as sp
import torch
from attrs import evolve, frozen

from contrast_core.interfaces import Flow, View
from contrast_graph.data.hetero import NodeGraph, features
from contrast_graph.masking import mask_edges, mask_features
from contrast_graph.metapaths import metapath_counts, normalise, pathsim_topk, row_normalise
from contrast_graph.sparse import Adjacency


@frozen(eq=False)
class GraphView:
    """Target features X (N, d) and one normalised adjacency (N, N) a meta-path."""

    features: Adjacency
    adjacencies: tuple[Adjacency, ...]

    def to(self, device: torch.device) -> GraphView:
        """The same view on another device."""
        moved = tuple(a.to(device) for a in self.adjacencies)
        return evolve(self, features=self.features.to(device), adjacencies=moved)


@frozen(eq=False)
class Context:
    """What lies on the meta-paths.

    Args:
        features: of every other node type that is met, X_t (n_t, d_t), the identity if it has none.
        hops: for each meta-path, the types met on it and the averaging matrix D^-1 B (N, n_t) from target to type.
    """

    features: Mapping[str, Adjacency]
    hops: tuple[tuple[tuple[str, Adjacency], ...], ...]

    def to(self, device: torch.device) -> Context:
        """The same context on another device."""
        hops = tuple(tuple((kind, mean.to(device)) for kind, mean in path) for path in self.hops)
        return Context({kind: x.to(device) for kind, x in self.features.items()}, hops)


@final
class MetapathViews(View):
    """Coarse, fine and masked fine views of the target nodes, made once from the graph and then fixed.

    For each meta-path m with path counts A_m, keep per row the k_m most similar nodes by PathSim,
    s_ij = 2 A_ij / (A_ii + A_jj), and normalise: A~ = D^-1/2 T^T D^-1/2. The masked view drops a share of the edges
    and of the non-zero features. Gives `coarse` and `fine` (the same features and adjacencies), `fine-masked`, and
    `context` (the nodes on the meta-paths).

    Args:
        neighbours: k, for all meta-paths or one each, in the graph's order; the node itself counts.
        edge_mask: share of dropped edges, for all or one each.
        feature_mask: share of hidden non-zero features.
        ties: which of equally similar nodes are kept: "random" (seeded, keeps the node itself) or "authors" (their
            order of an unstable sort, which on ACM leaks labels through the order of the nodes) or "first".
        aggregated: node types whose features are the sums of their target nodes' features (authors of ACM).
        seed: of ties and masks.

    Raises:
        ValueError: by `prepare`, if the number of settings does not fit the meta-paths or a share is not in [0, 1].

    Paper: MEOW, SDM 2023. The authors sort without seed, so that their choice depends on the numpy build.
    """

    needs = ("graph",)
    gives = ("coarse", "fine", "fine-masked", "context")

    def __init__(
        self,
        neighbours: int | Sequence[int] = 100,
        edge_mask: float | Sequence[float] = 0.3,
        feature_mask: float = 0.3,
        ties: Literal["random", "authors", "first"] = "random",
        aggregated: Sequence[str] = (),
        seed: int = 0,
    ):
        super().__init__()
        self.neighbours, self.edge_mask, self.feature_mask = neighbours, edge_mask, feature_mask
        self.ties, self.aggregated, self.seed = ties, aggregated, seed
        self.register_buffer("_place", torch.empty(0), persistent=False)
        self._built: dict[str, Any] = {}

    def prepare(self, flow: Flow) -> None:
        """Build all views."""
        graph: NodeGraph = flow["graph"]
        rng = np.random.default_rng(self.seed)
        plain = row_normalise(_target_features(graph))
        masked = mask_features(plain, self.feature_mask, rng)
        ks = _for_each(self.neighbours, graph, "neighbours")
        shares = _for_each(self.edge_mask, graph, "edge_mask")
        kept, holed = [], []
        for name, k, share in zip(graph.metapaths, ks, shares, strict=True):
            counts = metapath_counts(graph.half_incidences(name))
            chosen = pathsim_topk(counts, k, ties=self.ties, generator=rng)
            kept.append(Adjacency.from_scipy(normalise(chosen)))
            holed.append(Adjacency.from_scipy(mask_edges(chosen, share, rng)))
        whole = GraphView(Adjacency.from_scipy(plain), tuple(kept))
        partial = GraphView(Adjacency.from_scipy(masked), tuple(holed))
        context = _context(graph, set(self.aggregated))
        self._built = {"coarse": whole, "fine": whole, "fine-masked": partial, "context": context}

    def forward(self, flow: Flow) -> Flow:
        """The fixed views, on the pipeline's device."""
        place = self._place.device
        if self._built["fine"].features.device != place:
            # Coarse and fine are one object and stay one, so that their adjacencies are multiplied together.
            moved = {id(view): view.to(place) for view in self._built.values()}
            self._built = {name: moved[id(view)] for name, view in self._built.items()}
        return self._built


def _target_features(graph: NodeGraph) -> Any:
    found = features(graph.graph, graph.target)
    if found is None:
        raise ValueError(f"The target type '{graph.target}' has no features x; give every node some.")
    return found


def _for_each(given: Any, graph: NodeGraph, name: str) -> list[Any]:
    """One setting a meta-path."""
    values = list(given) if isinstance(given, Sequence) else [given] * len(graph.metapaths)
    if len(values) != len(graph.metapaths):
        paths = ", ".join(graph.metapaths)
        raise ValueError(f"'{name}' has {len(values)} entries for {len(graph.metapaths)} meta-paths ({paths}).")
    return values


def _context(graph: NodeGraph, aggregated: set[str]) -> Context:
    """Every meta-path's hops from the target up to the last node before the path is home again."""
    hops = []
    reach: dict[str, Any] = {}
    for name, path in graph.metapaths.items():
        half = graph.half_incidences(name)
        # Back from the turning point: a path of 4 edges has hops 1, 2 and 3.
        steps = [*half, *(b.T.tocsr() for b in reversed(half[1:]))]
        types = [edge[2] for edge in path][: len(steps)]
        matrix, here = None, []
        for kind, step in zip(types, steps, strict=True):
            matrix = step if matrix is None else sp.csr_array((matrix @ step) > 0, dtype=np.float64)
            here.append((kind, Adjacency.from_scipy(row_normalise(matrix))))
            reach.setdefault(kind, matrix)
        hops.append(tuple(here))
    unknown = aggregated - set(reach)
    if unknown:
        raise ValueError(f"'aggregated' names {sorted(unknown)}, but the meta-paths meet {sorted(reach)}.")
    return Context({kind: _type_features(graph, kind, reach[kind], kind in aggregated) for kind in reach}, tuple(hops))


def _type_features(graph: NodeGraph, kind: str, reach: Any, aggregate: bool) -> Adjacency:
    if kind == graph.target:
        return Adjacency.from_scipy(row_normalise(_target_features(graph)))
    if aggregate:
        return Adjacency.from_scipy(row_normalise(reach.T @ sp.csr_array(_target_features(graph))))
    found = features(graph.graph, kind)
    if found is None:
        return Adjacency.from_scipy(sp.eye_array(reach.shape[1], dtype=np.float32))
    return Adjacency.from_scipy(row_normalise(found))
