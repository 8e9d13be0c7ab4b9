"""Photographed subjects, cut out and put on photographs: real pictures of which the pose and the place are known."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.data.files import array_of, load_arrays
from contrast_diffusion.data.composed import Composed


@final
class Composites(Composed):
    """Subjects photographed from all sides on black, as in COIL-20, put on photographs of several kinds of places.

    View p of a subject is turned by 360 p / views degrees, the nearest that was photographed. Every view is drawn
    `draws` times, at 0.7 to 1 of the picture's size and a random place on a random photograph, always the same for one
    item. For what a batch holds and which views are held out see `contrast_diffusion.data.composed.Composed`.

    Args:
        subjects: an .npz file with `images` (n, h, w) uint8 on black, `subject` (n,) and `view_degrees` (n,).
        photographs: an .npz file with `images` (m, h, w, 3) uint8 and `labels` (m,), the kind of place, from 0.
        places: what a caption says of each kind: "in the sky", "on the sea", ...
        words: what a caption calls each subject; left out, all are "a thing", and no word tells them apart.
        cutoff: pixels up to this value are no part of a subject.
        views, draws, size, together, seed: as in `diffusion/subjects`.

    Raises:
        ValueError: for numbers that are too small; when loading, if an array is missing or does not fit.

    Paper: the data are those of the method's card; COIL-20 is Nene, Nayar and Murase, CUCS-005-96.
    """

    def __init__(
        self,
        subjects: Path,
        photographs: Path,
        places: Sequence[str],
        words: Sequence[str] | None = None,
        cutoff: int = 15,
        views: int = 12,
        draws: int = 4,
        size: int = 16,
        together: int = 2,
        seed: int = 0,
    ):
        for name, value, least in (
            ("places", len(places), 2),
            ("views", views, 4),
            ("draws", draws, 2),
            ("size", size, 8),
        ):
            if value < least:
                raise ValueError(f"{name} must be at least {least}, not {value}.")
        super().__init__(places, together)
        self.subjects, self.photographs, self.words, self.cutoff = subjects, photographs, words, cutoff
        self.views, self.draws, self.size, self.seed = views, draws, size, seed
        self._count = 0

    def load(self) -> None:
        """Read both files and put the pictures together."""
        image, subject, degrees = _read(self.subjects, ("images", "subject", "view_degrees"), 3)
        photo, kind = _read(self.photographs, ("images", "labels"), 4)
        self._count = int(subject.max()) + 1
        if self.words is not None and len(self.words) != self._count:
            raise ValueError(f"words names {len(self.words)} subjects, but {self.subjects.name} holds {self._count}.")
        if missing := sorted(set(range(len(self.places))) - set(kind.tolist())):
            raise ValueError(
                f"{self.photographs.name} has no photograph of kind {missing[0]} ({self.places[missing[0]]})."
            )
        generator = torch.Generator().manual_seed(self.seed)
        shape = (self._count, self.views, self.draws)
        who, view, draw = (x.flatten() for x in torch.meshgrid(*(torch.arange(n) for n in shape), indexing="ij"))
        found = torch.stack([self._nearest(subject, degrees, int(k), int(v)) for k, v in zip(who, view, strict=True)])
        where = torch.randint(len(self.places), (len(who),), generator=generator)
        further = torch.randint(1, len(self.places), (len(who),), generator=generator)
        scenes = torch.empty(len(who), dtype=torch.int64)
        for place in range(len(self.places)):
            own, there = (kind == place).nonzero()[:, 0], where == place
            scenes[there] = own[torch.randint(len(own), (int(there.sum()),), generator=generator)]
        scene = functional.interpolate(photo[scenes].movedim(3, 1).float() / 255, (self.size, self.size), mode="area")
        drawn, mask = self._placed(image[found].float(), generator)
        self._facts = {
            "image": scene + (drawn - scene) * mask, "mask": mask, "subject": who, "background": where,
            "prompted": (where + further) % len(self.places), "pose": (4 * view) // self.views, "view": view,
            "draw": draw,
        }  # fmt: skip

    def _nearest(self, subject: Tensor, degrees: Tensor, who: int, view: int) -> Tensor:
        """The row of a subject's picture that is nearest to a turn."""
        own = (subject == who).nonzero()[:, 0]
        if not len(own):
            raise ValueError(f"{self.subjects.name} has no picture of subject {who}; they are numbered from 0.")
        apart = (degrees[own] - 360 * view / self.views + 180) % 360 - 180
        return own[apart.abs().argmin()]

    def _placed(self, image: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Grey pictures (n, h, w) at a random size and place: (n, 3, size, size) in [0, 1], and their masks."""
        scale = 0.7 + 0.3 * torch.rand(len(image), generator=generator)
        shift = (torch.rand(len(image), 2, generator=generator) * 2 - 1) * (1 - scale[:, None])
        turn = torch.diag_embed(torch.ones(2)).expand(len(image), 2, 2) / scale[:, None, None]
        theta = torch.cat([turn, (-shift / scale[:, None])[:, :, None]], dim=2)
        grid = functional.affine_grid(theta, [len(image), 1, self.size, self.size], align_corners=False)
        both = torch.stack([image / 255, (image > self.cutoff).float()], dim=1)
        found = functional.grid_sample(both, grid, align_corners=False)
        # Between a subject and black the brightness falls as the mask does.
        bright = (found[:, :1] / found[:, 1:].clamp(min=1e-3)).clamp(0, 1)
        return bright.expand(-1, 3, -1, -1), found[:, 1:].clamp(0, 1)

    @property
    def classes(self) -> Sequence[str]:
        """Word and number of each subject."""
        return [f"{self._name(k)} {k + 1}" for k in range(self._count)]

    def _name(self, subject: int) -> str:
        return f"a {self.words[subject] if self.words is not None else 'thing'}"

    @property
    def source(self) -> str:
        """The two files."""
        return f"{len(self)} composites of {self.subjects.name} on {self.photographs.name}"


def _read(path: Path, names: Sequence[str], dimensions: int) -> list[Tensor]:
    """Arrays of a file: images (n, h, w[, 3]) uint8, and numbers (n,)."""
    arrays = load_arrays(path, names, names[0])
    found = [array_of(path.name, arrays, name) for name in names]
    images = found[0]
    if images.ndim != dimensions or str(images.dtype) != "uint8" or (dimensions == 4 and images.shape[3] != 3):
        wanted = "(n, h, w)" if dimensions == 3 else "(n, h, w, 3)"
        raise ValueError(f"images of {path.name} must be {wanted} uint8, not {images.shape} {images.dtype}.")
    for name, numbers in zip(names[1:], found[1:], strict=True):
        if numbers.shape != (len(images),) or numbers.dtype.kind not in "iu":
            raise ValueError(f"{name} of {path.name} must be one whole number an image, not {numbers.shape}.")
    return [torch.from_numpy(images), *(torch.from_numpy(numbers.astype("int64")) for numbers in found[1:])]
