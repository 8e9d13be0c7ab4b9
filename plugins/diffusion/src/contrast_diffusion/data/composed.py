"""What data of subjects in many poses on backgrounds have in common, of whatever they are made."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split
from contrast_diffusion.data.batches import views_of_subjects


class Composed(Data):
    """Subjects on backgrounds, each picture with a caption, a mask and a prompt for another background.

    Views 1, 5, 9 ... of a subject are held out of training; the evaluation embeds their first two draws, a probe trains
    on the first and is tested on the second.

    A batch of B items holds `image` (B, 3, size, size) and `mask` (B, 1, size, size), float32 in [0, 1]; `caption`,
    `name` and `prompt`, lists of B texts ("a disc on a meadow", "a disc", "a disc before a brick wall"); and int64 (B,)
    `sample`, `subject`, `background`, `prompted` and `pose` (of four quarter turns). Labels are the subjects.

    Args:
        places: what a caption says of each background.
        together: views of each subject in a batch of training.
    """

    gives = (
        "image", "mask", "caption", "name", "prompt", "sample", "subject", "background", "prompted", "pose",
        "embedding.label",
    )  # fmt: skip

    def __init__(self, places: Sequence[str], together: int):
        if together < 2:
            raise ValueError(f"together must be at least 2, not {together}.")
        self.places, self.together = tuple(places), together
        self._facts: dict[str, Tensor] = {}
        """Of all items, filled by `load`: what a batch holds, `view` and `draw`."""

    @abstractmethod
    def _name(self, subject: int) -> str:
        """The words for a subject, which tell its class alone."""

    def __len__(self) -> int:
        return len(self._facts["subject"]) if self._facts else 0

    def batch(self, items: Tensor) -> Flow:
        """Pictures, texts and facts of the items."""
        keys = ("image", "mask", "subject", "background", "prompted", "pose")
        found = {key: self._facts[key][items] for key in keys}
        names = [self._name(k) for k in found["subject"].tolist()]
        where, wanted = ([self.places[b] for b in found[key].tolist()] for key in ("background", "prompted"))
        texts = {
            "caption": [f"{name} {place}" for name, place in zip(names, where, strict=True)],
            "name": names,
            "prompt": [f"{name} {place}" for name, place in zip(names, wanted, strict=True)],
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
    def splits(self) -> Mapping[str, Split]:
        """ "held-out": the first draw of the held-out views to train a probe on, the second to test it."""
        return {"held-out": Split(self._held_out(1), torch.empty(0, dtype=torch.int64), self._held_out(2, 1))}
