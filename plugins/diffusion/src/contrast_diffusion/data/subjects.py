"""Rendered subjects on rendered backgrounds: data that need no file, and of which everything is known."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import final

import torch

from contrast_diffusion.data.composed import Composed
from contrast_diffusion.data.render import BACKGROUNDS, SHAPES, TEXTURES, background, subject


@final
class Subjects(Composed):
    """Procedural subjects in many poses, each picture with a caption, a mask and a prompt for another background.

    Subject k has the shape k mod 4, whose word it shares with others: no word of a caption tells the subject, only its
    colours and its texture do. View p is a turn by 360 p / views degrees. Every view is drawn `draws` times, at a
    random size and place on a random background (sky, meadow or brick), always the same for one item.

    For what a batch holds and which views are held out see `contrast_diffusion.data.composed.Composed`.

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

    def __init__(
        self, subjects: int = 12, views: int = 12, draws: int = 4, size: int = 16, together: int = 2, seed: int = 0
    ):
        for name, value, least in (
            ("subjects", subjects, 2), ("views", views, 4), ("draws", draws, 2), ("size", size, 8),
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}.")
        super().__init__(("under the sky", "on a meadow", "before a brick wall"), together)
        self.subjects, self.views, self.draws, self.size, self.seed = subjects, views, draws, size, seed

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

    @property
    def classes(self) -> Sequence[str]:
        """Shape, texture and number of each subject."""
        return [f"{SHAPES[k % 4]} {k + 1}, {TEXTURES[(k // 4) % 3]}" for k in range(self.subjects)]

    def _name(self, subject: int) -> str:
        return f"a {SHAPES[subject % len(SHAPES)]}"

    @property
    def source(self) -> str:
        """That they are drawn here."""
        return f"{self.subjects} procedural subjects, {len(self)} pictures drawn by contrast-diffusion (Apache-2.0)"


def _colours(number: int, subjects: int) -> list[list[float]]:
    """Two colours of a subject: hues go round by the golden section, so that neighbours differ."""
    hue = (number * 0.618034) % 1
    return [list(colorsys.hsv_to_rgb(hue, 0.9, 0.95)), list(colorsys.hsv_to_rgb((hue + 0.35) % 1, 0.7, 0.35))]
