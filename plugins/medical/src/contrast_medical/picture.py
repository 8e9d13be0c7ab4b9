"""The picture of nearest neighbours in both spaces."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from contrast_core.figures import Cell, Images
from contrast_medical.data.grouped import TwoGroups

NEAR = 3


def neighbours_of(
    data: TwoGroups, rows: Mapping[str, NDArray[Any]], items: NDArray[Any], shown: int, generator: torch.Generator
) -> Images:
    """Some of the items, drawn by the generator, each with its nearest others of the items in every space.

    Args:
        data: whose images are shown.
        rows: of all items, (n, d) by space.
        items: numbers of the items to choose from and to look among.
        shown: how many.
        generator: of the choice.
    """
    chosen = torch.randperm(len(items), generator=generator)[:shown].tolist()
    lines: list[list[Cell | None]] = []
    for number in chosen:
        line: list[Cell | None] = [_cell(data, int(items[number]))]
        for space in rows.values():
            points = torch.from_numpy(space[items])
            distance = torch.cdist(points[number : number + 1], points)[0]
            distance[number] = float("inf")
            near = distance.argsort()[: min(NEAR, len(items) - 1)].tolist()
            line += [_cell(data, int(items[other])) for other in near] + [None] * (NEAR - len(near))
        lines.append(line)
    columns = ["image", *(f"{space} {rank}" for space in rows for rank in range(1, NEAR + 1))]
    reading = (
        "Each unseen target image with its nearest neighbours in the common space and in the salient space: the former "
        "should share what both groups show, the latter what only the target shows."
    )
    return Images("Neighbours in both spaces", reading, lines, columns=columns)


def _cell(data: TwoGroups, item: int) -> Cell:
    return Cell(data.images[item], data.names[item] if data.names else f"image {item}")
