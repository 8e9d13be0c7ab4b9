"""Search and means within the partitions of a bank of rows."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def nearest_within(queries: Tensor, wanted: Tensor, rows: Tensor, partition: Tensor, k: int) -> Tensor:
    """The k rows of the largest inner product with each query, of those in the partition that it asks for.

    A partition of fewer than k rows is no place to search in: the whole bank is searched for its queries instead.
    Only rows of a query's partition are compared with it, O(n d m / K) for partitions of equal size.

    Args:
        queries: (n, d); wanted: (n,) int64, the partition of each.
        rows: the bank, (m, d); partition: (m,) int64.
        k: at most m.

    Returns:
        Numbers of rows, (n, k) int64, the nearest first.

    Raises:
        ValueError: if the bank has fewer than k rows.
    """
    if len(rows) < k:
        raise ValueError(f"{k} neighbours are asked for, but only {len(rows)} rows are remembered; start later.")
    order = partition.argsort(stable=True)
    values, counts = partition[order].unique_consecutive(return_counts=True)
    ends = counts.cumsum(0)
    places = {int(p): slice(int(e - c), int(e)) for p, c, e in zip(values, counts, ends, strict=True)}
    found = torch.empty(len(queries), k, dtype=torch.int64, device=queries.device)
    whole = torch.zeros(len(queries), dtype=torch.bool, device=queries.device)
    for value in wanted.unique().tolist():
        asking = (wanted == value).nonzero().squeeze(1)
        members = order[places[value]] if value in places else order[:0]
        if len(members) < k:
            whole[asking] = True
            continue
        found[asking] = members[(queries[asking] @ rows[members].t()).topk(k, dim=1).indices]
    if bool(whole.any()):
        found[whole] = (queries[whole] @ rows.t()).topk(k, dim=1).indices
    return found


@torch.no_grad()
def means(rows: Tensor, partition: Tensor, before: Tensor, divisors: Tensor | None = None) -> Tensor:
    """The mean of the rows of each partition, (K, d); an empty one keeps its row of `before`.

    Args:
        rows: (m, d); partition: (m,) int64 from 0 to K - 1.
        before: (K, d).
        divisors: (K,), in place of the partitions' sizes.
    """
    sizes = torch.bincount(partition, minlength=len(before))
    sums = torch.zeros_like(before).index_add_(0, partition, rows)
    divided = sums / (sizes.clamp(min=1) if divisors is None else divisors)[:, None].to(sums)
    return torch.where(sizes[:, None] > 0, divided, before)
