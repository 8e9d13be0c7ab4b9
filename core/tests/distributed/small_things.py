"""What one of several processes sees of gathering and averaging; prints a line of JSON.

python small_things.py RENDEZVOUS RANK PROCESSES
"""

from __future__ import annotations

import json
import sys

import torch
from torch import distributed

from contrast_core.distributed import average_gradients, gather
from contrast_core.embeddings import Embeddings


def main() -> None:
    """Gather uneven and odd tables, average gradients that some lack, gather tables that differ."""
    rendezvous, rank, processes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    distributed.init_process_group("gloo", init_method=f"file://{rendezvous}", rank=rank, world_size=processes)
    seen: dict[str, object] = {}
    # Process r has r rows, so the first has none.
    z = torch.full((rank, 2), float(rank)).requires_grad_()
    table = gather(Embeddings.of(z, sample=torch.arange(rank), known=torch.ones(rank, dtype=torch.bool), view="one"))
    seen["rows"] = table.z[:, 0].tolist()
    seen["known"] = table["known"].tolist()
    seen["group"] = table.select(torch.arange(1)).group is table.group is not None
    (table.z * torch.arange(1.0, len(table) + 1)[:, None]).sum().backward()
    seen["gradient"] = [] if z.grad is None else z.grad[:, 0].tolist()
    both, some, none = (torch.nn.Parameter(torch.zeros(2)) for _ in range(3))
    both.grad = torch.full((2,), float(rank))
    if rank == 1:
        some.grad = torch.ones(2)
    average_gradients([both, some, none])
    seen["averages"] = [None if p.grad is None else p.grad.tolist() for p in (both, some, none)]
    try:
        gather(Embeddings.of(torch.zeros(1, 2 + rank)))
    except ValueError as error:
        seen["error"] = str(error)
    print(json.dumps(seen))
    distributed.destroy_process_group()


if __name__ == "__main__":
    main()
