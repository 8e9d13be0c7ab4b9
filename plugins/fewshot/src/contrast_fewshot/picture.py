"""One episode as a grid of images: the supports, and the queries that are nearest to each class's prototype."""

from __future__ import annotations

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Cell, Images
from contrast_core.interfaces import Data
from contrast_fewshot.drawing import Episodes
from contrast_fewshot.opta import OpTA, standardise

SHOWN = 6
"""Queries that are shown of each class."""


def episode_picture(
    rows: Tensor, episodes: Episodes, data: Data, table: Embeddings, name: str, opta: OpTA | None
) -> Images | None:
    """The first episode with one shot, or None if the data have no images under that name.

    Args:
        rows: (n, d), the embedding.
        episodes: of which the first is shown.
        data: whose batches hold the images, (B, 1 or 3, h, w).
        table: whose column `sample` says which items the rows are.
        name: of the images in a batch.
        opta: moves the prototypes, if given.
    """
    support, query, way, classes = (part[0] for part in episodes)
    items = torch.cat([support[:, 0], query])
    batch = data.batch(table["sample"].cpu()[items] if "sample" in table else items)
    images = batch.get(name)
    if not isinstance(images, Tensor) or images.dim() != 4 or images.shape[1] not in (1, 3):
        return None
    z = standardise(rows)
    prototypes, queries = z[support[:, 0]][None], z[query][None]
    if opta is not None:
        prototypes = opta(prototypes, queries, 1).prototypes
    nearest = torch.cdist(prototypes, queries)[0].topk(min(SHOWN, len(query)), dim=1, largest=False).indices
    names = [data.classes[int(c)] if data.classes else str(int(c)) for c in classes]
    ways = len(classes)
    cells = []
    for own, found in enumerate(nearest.tolist()):
        line = [Cell(_shown(images[own]), names[own])]
        for number in found:
            right = int(way[number]) == own
            line.append(Cell(_shown(images[ways + number]), "right" if right else f"wrong: {names[int(way[number])]}"))
        cells.append(line)
    moved = "prototype, moved by OpTA" if opta is not None else "prototype"
    return Images(
        "One episode with one shot",
        f"Left the only labelled image of each class, beside it the queries nearest to the class's {moved}.",
        cells,
        rows=names,
        columns=["support", *(f"query {number + 1}" for number in range(nearest.shape[1]))],
    )


def _shown(image: Tensor) -> Tensor:
    """The image in [0, 1], whatever it was scaled to."""
    image = image.detach().float().cpu()
    low, high = image.min(), image.max()
    return image if low >= 0 and high <= 1 else (image - low) / (high - low).clamp(min=1e-12)
