"""The core's clusterings with MEOW's settings, against the authors' values."""

from __future__ import annotations

import torch
from torch.nn.functional import normalize

from contrast_core.clustering import assign, concentration


def test_golden_assignments_prototypes_and_concentrations(golden):
    """The authors' step after k-means, from given raw centroids."""
    for case in golden("prototypes_density"):
        params = case["meta"]["params"]
        for m, k in enumerate(params["num_clusters"]):
            centroids = case[f"in_raw_centroids{m}"]
            index, inner = assign(case["in_z"], centroids)
            assert torch.equal(index, case[f"out_assign{m}"])
            phi = concentration(inner, index, k, params["tau"], "similarity", smoothing=5)
            torch.testing.assert_close(phi, case[f"out_density{m}"], rtol=1e-10, atol=0)
            prototypes = normalize(centroids, dim=1)
            torch.testing.assert_close(prototypes, case[f"out_centroids{m}"], rtol=1e-10, atol=1e-14)
