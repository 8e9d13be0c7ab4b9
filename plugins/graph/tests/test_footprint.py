"""Memory of the losses at the size of ACM, in a process of their own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest.importorskip("resource", reason="peak memory is read with the resource module of POSIX")

SCRIPT = """
import resource, sys
import torch
from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.memories.clustered import Clusters
from contrast_core.objectives.infonce import DCL
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.samplers.prototypes import Prototypes
from contrast_graph.samplers import AdaptiveNegatives, WeightedNegatives

def loss(n):
    generator = torch.Generator().manual_seed(0)
    rows = torch.nn.functional.normalize(torch.randn(2, n, 64, generator=generator), dim=2).requires_grad_()
    flow = {name: Embeddings.of(z, sample=torch.arange(n)) for name, z in zip(("coarse", "fine"), rows)}
    memory = Clusters("fine", (min(100, n), min(300, n)))
    prototypes = Prototypes("coarse", "clusters", "prototypes", assigned="fine")
    parts = [WeightedNegatives(), prototypes] if sys.argv[1] == "meow" else [AdaptiveNegatives()]
    for part in (memory, *parts):
        part.prepare(flow)
    memory.write(flow["fine"])
    flow["clusters"] = memory
    pairs = {name: found for part in parts for name, found in part(flow).items()}
    objectives = [DCL(temperature=0.4), *([ProtoNCE("prototypes")] if len(parts) > 1 else [])]
    sum(objective(Outputs({}, pairs, {})).value for objective in objectives).backward()
    assert rows.grad.isfinite().all()

torch.set_num_threads(1)
loss(300)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
before = peak()
loss(4019)
print((peak() - before) / 1e9)
"""


@pytest.mark.parametrize("system", ["meow", "adameow"])
def test_loss_and_gradient_at_the_size_of_acm_stay_under_half_a_gigabyte(system):
    """The authors' dense formulation takes about 0.5 GB for MEOW's and 18 GB for AdaMEOW's."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, system], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 0.5
