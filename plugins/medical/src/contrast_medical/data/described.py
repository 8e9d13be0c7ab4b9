"""Roles and attributes of images from what stands about them in a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.data.labels import ordered
from contrast_core.errors import did_you_mean
from contrast_medical.data.grouped import Attribute, Space
from contrast_medical.roles import TARGET


@frozen
class Facts:
    """Which columns say what: attributes that both groups have, those that only targets have, and which are numbers.

    Raises:
        ValueError: if an attribute is common and salient, or a number is no attribute.
    """

    common: Sequence[str] = ()
    salient: Sequence[str] = ()
    numbers: Sequence[str] = ()

    def __attrs_post_init__(self) -> None:
        if both := [name for name in self.common if name in self.salient]:
            raise ValueError(f"The attribute '{both[0]}' is listed as common and as salient; it can be one of them.")
        for name in self.numbers:
            if name not in self.names:
                hint = did_you_mean(name, self.names) or " List it there, too."
                raise ValueError(f"numbers has '{name}', which is listed neither as common nor as salient.{hint}")

    @property
    def names(self) -> list[str]:
        """Of all attributes."""
        return [*self.common, *self.salient]

    @property
    def classes(self) -> list[str]:
        """Of the attributes that are no numbers."""
        return [name for name in self.names if name not in self.numbers]

    def attributes(self, columns: Mapping[str, Sequence[str]], roles: Tensor) -> dict[str, Attribute]:
        """The attributes of images with these roles; what stands empty is unknown, and of a background image all that
        is salient.
        """
        found = {}
        for name in self.names:
            space: Space = "common" if name in self.common else "salient"
            told = roles == TARGET if space == "salient" else torch.ones_like(roles, dtype=torch.bool)
            texts = [text if use else "" for text, use in zip(columns[name], told.tolist(), strict=True)]
            if name in self.numbers:
                values = torch.tensor([float(text or "nan") for text in texts], dtype=torch.float64)
                found[name] = Attribute(values, space)
            else:
                classes, values = ordered(texts)
                found[name] = Attribute(values, space, classes)
        return found


def numbers_of(names: Sequence[str], texts: Sequence[str], items: Sequence[str], what: str) -> Tensor:
    """Which of the names each text is, as it is or as its number, (n,) int64.

    Raises:
        ValueError: if it is none of them; the sentence names the item.
    """
    known = {name: number for number, name in enumerate(names)}
    known |= {str(number): number for number in range(len(names))}
    for text, item in zip(texts, items, strict=True):
        if text.strip().lower() not in known:
            raise ValueError(f"{item} has the {what} '{text}', where only {', '.join(names)} can stand.")
    return torch.tensor([known[text.strip().lower()] for text in texts], dtype=torch.int64)
