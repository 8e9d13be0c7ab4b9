"""Reference, prompt and pictures side by side: people look at pictures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Cell, Images
from contrast_core.interfaces import Flow


def generated(tables: Mapping[str, Embeddings], guidance: Sequence[float]) -> Tensor:
    """The generated pictures of the evaluated items, (n, G, C, H, W) float32, at G strengths of guidance.

    Raises:
        ValueError: if codes or pictures are not finite, or there are more or fewer strengths.
    """
    drawn = tables["generated"]["image"].float()
    if not bool(drawn.isfinite().all() and tables["embedding"].z.isfinite().all()):
        raise ValueError("Codes or generated pictures are NaN or infinite; nothing can be seen on them.")
    if drawn.shape[1] != len(guidance):
        raise ValueError(
            f"The encoder generates {drawn.shape[1]} pictures an item, guidance here names {len(guidance)}: "
            "write the same strengths in [encoder] and in this section."
        )
    return drawn


def grid_of(real: Flow, drawn: Tensor, guidance: Sequence[float], rows: int) -> Images:
    """A grid of `rows` items, spread over all: the reference, then its picture at every guidance, the prompt beside.

    Args:
        real: a batch with `image` and `prompt`. drawn: (n, G, C, H, W) in [0, 1]. guidance: G strengths.
    """
    chosen = torch.linspace(0, len(drawn) - 1, min(rows, len(drawn))).round().long().unique().tolist()
    cells = [
        [Cell(real["image"][k]), *(Cell(picture.clamp(0, 1)) for picture in drawn[k])]
        for k in chosen
    ]  # fmt: skip
    return Images(
        "References and what was generated",
        "Left the reference; right, for the prompt that names the row, a picture at each strength of guidance. The "
        "subject should stay and the background should be the prompt's.",
        cells,
        rows=[real["prompt"][k] for k in chosen],
        columns=["reference", *(f"guidance {strength:g}" for strength in guidance)],
    )


def correlation(one: Tensor, two: Tensor) -> float:
    """Mean correlation of the pixels of pictures, pair by pair."""
    a, b = (x.flatten(1) - x.flatten(1).mean(1, keepdim=True) for x in (one, two))
    return float(functional.cosine_similarity(a, b, dim=1).mean())
