"""Three losses from the same row statistics: NT-Xent, SupCon, and one with a weighted relation."""

from __future__ import annotations

import torch

from contrast_core import Embeddings, Pairs, kernel, pairwise, same


def main() -> None:
    """Compute each loss and one gradient."""
    generator = torch.Generator().manual_seed(0)
    items, views = 2048, 2
    z = torch.randn(items * views, 64, generator=generator).requires_grad_()
    number = torch.arange(items * views)
    rows = Embeddings.of(z, sample=number % items, view=number // items, label=number % items % 10, angle=number % 360)
    itself = same("sample") & same("view")

    simclr = Pairs(rows, rows, same("sample") & ~same("view"), ~same("sample"))
    everyone = pairwise.logsumexp(simclr, ~itself, temperature=0.1)
    print("NT-Xent", (everyone - pairwise.mean(simclr, simclr.positives, temperature=0.1)).mean().item())

    supervised = Pairs(rows, rows, same("label") & ~itself, ~same("label"))
    print("SupCon ", (everyone - pairwise.mean(supervised, supervised.positives, temperature=0.1)).mean().item())

    # Negatives weigh more the further their angles are apart; nothing of size n x n is ever made.
    apart = kernel("angle", lambda a, b: (a - b).abs().float() / 360)
    weighted = Pairs(rows, rows, simclr.positives, apart)
    loss = pairwise.logsumexp(weighted, apart, temperature=0.1) - pairwise.mean(
        weighted, weighted.positives, temperature=0.1
    )
    loss.mean().backward()
    print("weighted", loss.mean().item(), "gradient norm", z.grad.norm().item())


if __name__ == "__main__":
    main()
