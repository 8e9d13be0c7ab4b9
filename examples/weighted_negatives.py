"""MEOW's weighted negatives with somebody else's encoder: any two tables of the same samples will do."""

from __future__ import annotations

import torch
from torch import nn

from contrast_core import Embeddings, Outputs
from contrast_core.memories.clustered import Clusters
from contrast_core.objectives.infonce import DCL
from contrast_graph.samplers import WeightedNegatives


def main() -> None:
    """Train a linear map on two noisy views of points in four groups."""
    torch.manual_seed(0)
    points = torch.randn(4, 16).repeat(100, 1) + 0.5 * torch.randn(400, 16)
    encoder = nn.Linear(16, 8)
    optimizer = torch.optim.Adam(encoder.parameters(), lr=1e-2)
    clusters, sampler, objective = Clusters(source="two", clusters=[4, 12]), WeightedNegatives("one", "two"), DCL()
    for step in range(50):
        tables = {
            name: Embeddings.of(encoder(points + 0.1 * torch.randn_like(points)), sample=torch.arange(len(points)))
            for name in ("one", "two")
        }
        flow = {**tables, "clusters": clusters}
        if step == 0:
            clusters.prepare(flow)
        clusters.write(tables["two"].detach())
        term = objective(Outputs(tables, sampler(flow), {}))
        optimizer.zero_grad()
        term.value.backward()
        optimizer.step()
        if step % 10 == 0:
            print(step, round(term.value.item(), 4), "rows", term.rows, "dropped", term.dropped)


if __name__ == "__main__":
    main()
