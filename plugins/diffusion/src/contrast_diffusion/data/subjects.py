"""Rendered subjects on rendered backgrounds: data that need no file, and of which everything is known."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split
from contrast_diffusion.data.batches import views_of_subjects
from contrast_diffusion.data.render import BACKGROUNDS, SHAPES, TEXTURES, background, subject


@final
class Subjects(Data):
    """Procedural subjects in many poses, each picture with a caption, a mask and a prompt for another background.

    Subject k has the shape k mod 4, whose word it shares with others: no word of a caption tells the subject, only its
    colours and its texture do. View p is a turn by 360 p / views degrees. Every view is drawn `draws` times, at a
    random size and place on a random background (sky, meadow or brick), always the same for one item. Views 1, 5, 9 ...
    are held out of training; the evaluation embeds their first two draws, a probe trains on the first and is tested on
    the second.

    A batch of B items holds `image` (B, 3, size, size) and `mask` (B, 1, size, size), float32 in [0, 1]; `caption`,
    `name` and `prompt`, lists of B texts ("a disc on a meadow", "a disc", "a disc on a brick wall"); and int64 (B,)
    `sample`, `subject`, `background`, `prompted` and `pose` (of four quarter turns). Labels are the subjects.

    Args:
        subjects: how many, from 2.
        views: of each, at least 4.
        draws: of each view, at least 2.
        size: of the pictures in pixels.
        together: views of each subject in a batch of training.
        seed: of all that is drawn.

    Raises:
        ValueError: for numbers below these.
    """

    gives = (
        "image", "mask", "caption", "name", "prompt", "sample", "subject", "background", "prompted", "pose",
        "embedding.label",
    )  # fmt: skip

    def __init__(
        self, subjects: int = 12, views: int = 12, draws: int = 4, size: int = 16, together: int = 2, seed: int = 0
    ):
        for name, value, least in (
            ("subjects", subjects, 2), ("views", views, 4), ("draws", draws, 2), ("size", size, 8),
            ("together", together, 2),
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}.")
        self.subjects, self.views, self.draws, self.size = subjects, views, draws, size
        self.together, self.seed = together, seed
        self._facts: dict[str, Tensor] = {}

    def load(self) -> None:
        """Draw all pictures."""
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self.subjects, self.views, self.draws)
        numbers = torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij")
        who, view, draw = (each.flatten() for each in numbers)
        n = len(who)
        angle = 2 * math.pi * view / self.views
        where = torch.randint(len(BACKGROUNDS), (n,), generator=generator)
        further = torch.randint(1, len(BACKGROUNDS), (n,), generator=generator)
        scale = 0.5 + 0.25 * torch.rand(n, generator=generator)
        place = (torch.rand(n, 2, generator=generator) * 2 - 1) * (0.95 - scale[:, None]).clamp(min=0.0)
        colours = torch.tensor([_colours(k, self.subjects) for k in range(self.subjects)])[who]
        drawn, mask = subject(
            who % len(SHAPES), (who // len(SHAPES)) % len(TEXTURES), colours, angle, scale, place, self.size
        )
        scene = background(where, self.size, generator)
        self._facts = {
            "image": (scene + (drawn - scene) * mask).clamp(0, 1), "mask": mask, "subject": who, "background": where,
            "prompted": (where + further) % len(BACKGROUNDS), "pose": (4 * view) // self.views, "view": view,
            "draw": draw,
        }  # fmt: skip

    def __len__(self) -> int:
        return self.subjects * self.views * self.draws

    def batch(self, items: Tensor) -> Flow:
        """Pictures, texts and facts of the items."""
        keys = ("image", "mask", "subject", "background", "prompted", "pose")
        found = {key: self._facts[key][items] for key in keys}
        names = [_name(k) for k in found["subject"].tolist()]
        texts = {
            "caption": [_caption(name, b) for name, b in zip(names, found["background"].tolist(), strict=True)],
            "name": names,
            "prompt": [_caption(name, b) for name, b in zip(names, found["prompted"].tolist(), strict=True)],
        }
        return {**found, **texts, "sample": items}

    @property
    def training_items(self) -> Tensor:
        """The items of the views that are not held out."""
        return (self._facts["view"] % 4 != 1).nonzero()[:, 0]

    def drawn(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Several views of each of some subjects a batch."""
        return views_of_subjects(self._facts["subject"], self.training_items, batch_size, self.together, generator)

    @property
    def evaluation_items(self) -> Tensor:
        """The first two draws of the held-out views."""
        return self._held_out(2)

    def _held_out(self, draws: int, first: int = 0) -> Tensor:
        facts = self._facts
        return ((facts["view"] % 4 == 1) & (facts["draw"] >= first) & (facts["draw"] < draws)).nonzero()[:, 0]

    @property
    def labels(self) -> Tensor:
        """The subjects."""
        return self._facts["subject"]

    @property
    def classes(self) -> Sequence[str]:
        """Shape, texture and number of each subject."""
        return [f"{SHAPES[k % 4]} {k + 1}, {TEXTURES[(k // 4) % 3]}" for k in range(self.subjects)]

    @property
    def splits(self) -> Mapping[str, Split]:
        """ "held-out": the first draw of the held-out views to train a probe on, the second to test it."""
        return {"held-out": Split(self._held_out(1), torch.empty(0, dtype=torch.int64), self._held_out(2, 1))}

    @property
    def source(self) -> str:
        """That they are drawn here."""
        return f"{self.subjects} procedural subjects, {len(self)} pictures drawn by contrast-diffusion (Apache-2.0)"


def _name(number: int) -> str:
    return f"a {SHAPES[number % len(SHAPES)]}"


def _caption(name: str, where: int) -> str:
    return f"{name} {('under the sky', 'on a meadow', 'before a brick wall')[where]}"


def _colours(number: int, subjects: int) -> list[list[float]]:
    """Two colours of a subject: hues go round by the golden section, so that neighbours differ."""
    hue = (number * 0.618034) % 1
    return [list(colorsys.hsv_to_rgb(hue, 0.9, 0.95)), list(colorsys.hsv_to_rgb((hue + 0.35) % 1, 0.7, 0.35))]
