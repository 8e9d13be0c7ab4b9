"""Subjects in folders of pictures, as DreamBench and MVImageNet have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import final

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split
from contrast_diffusion.data.batches import views_of_subjects
from contrast_diffusion.data.pictures import Subject, find_subjects, picture_size, read_picture

SAMPLE = Path(__file__).parent.parent / "sample"


@final
class SubjectFolders(Data):
    """Folders with several pictures of one subject each; see `pictures.find_subjects` for where things lie.

    DreamBench: path/SUBJECT/*.jpg. MVImageNet: path/CATEGORY/OBJECT/images/*.jpg with OBJECT/masks. Pictures are read
    when they are wanted, cut to their middle square and resized. Without masks the whole picture counts as the subject.
    Captions that are not there read "a photo of a CLASS"; prompts go through `prompts`, item by item.

    A batch of B items holds `image` (B, channels, size, size) and `mask` (B, 1, size, size), float32 in [0, 1];
    `caption`, `name` and `prompt`, lists of B texts; int64 `sample` and `subject` (B,). Labels are the subjects. Of
    every subject the last picture is held out (of those with three or more), and evaluated.

    Args:
        path: the folder; left out, a sample of four rendered subjects that lies in the package.
        required: refuse to take the sample.
        size: of the pictures; left out, all must be squares of one size.
        channels: 3, or 1 for grey.
        prompts: what to generate; {} stands for "a CLASS".
        together: views of each subject in a batch of training.

    Raises:
        ValueError: for numbers out of range or a prompt without {}; in use, whatever is wrong in the folder: a subject
            with one view, an empty caption, pictures of different sizes; the sentence names the file.
    """

    gives = ("image", "mask", "caption", "name", "prompt", "sample", "subject", "embedding.label")

    def __init__(
        self,
        path: Path | None = None,
        required: bool = False,
        size: int | None = None,
        channels: int = 3,
        prompts: Sequence[str] = ("{} in the jungle", "{} on the beach", "{} in the snow"),
        together: int = 2,
    ):
        if channels not in (1, 3) or together < 2 or (size is not None and size < 8):
            raise ValueError(
                f"channels must be 1 or 3, together at least 2, size at least 8, not {[channels, together, size]}."
            )
        if not prompts or not all("{}" in prompt for prompt in prompts):
            raise ValueError('Every prompt must hold {}, for example "{} on the beach".')
        if path is None and required:
            raise ValueError(
                "This recipe needs pictures of your own: --set data.path=FOLDER, a folder for each subject."
            )
        self.path = SAMPLE if path is None else path
        self.size, self.channels = size, channels
        self.prompts, self.together = tuple(prompts), together
        self._subjects: list[Subject] = []
        self._place: list[tuple[int, int]] = []
        self._side = 0

    def load(self) -> None:
        """Find the subjects and look at the sizes of their pictures."""
        self._subjects = find_subjects(self.path)
        self._place = [(k, view) for k, one in enumerate(self._subjects) for view in range(len(one.views))]
        if self.size is not None:
            self._side = self.size
            return
        first = self._subjects[0].views[0].picture
        width, height = picture_size(first)
        for one in self._subjects:
            for view in one.views:
                if picture_size(view.picture) != (width, width):
                    other = " x ".join(str(side) for side in picture_size(view.picture))
                    raise ValueError(
                        f"{view.picture} has {other} pixels, but {first} has {width} x {height}: set size, to cut "
                        "all to squares and resize them."
                    )
        self._side = width

    def __len__(self) -> int:
        return len(self._place)

    def batch(self, items: Tensor) -> Flow:
        """Pictures, masks and texts of the items."""
        numbers = items.tolist()
        subjects = [self._subjects[self._place[n][0]] for n in numbers]
        views = [subject.views[self._place[n][1]] for subject, n in zip(subjects, numbers, strict=True)]
        shape = (len(numbers), self.channels, self._side, self._side)
        image, mask = torch.empty(shape), torch.ones(len(numbers), 1, *shape[2:])
        for row, view in enumerate(views):
            image[row] = read_picture(view.picture, self._side, self.channels).float() / 255
            if view.mask is not None:
                mask[row] = (read_picture(view.mask, self._side, 1) > 127).float()
        names = [f"a {subject.word}" for subject in subjects]
        captions = [v.caption or f"a photo of {name}" for v, name in zip(views, names, strict=True)]
        prompts = [self.prompts[n % len(self.prompts)].format(name) for n, name in zip(numbers, names, strict=True)]
        subject = torch.tensor([self._place[n][0] for n in numbers], dtype=torch.int64)
        texts = {"caption": captions, "name": names, "prompt": prompts}
        return {"image": image, "mask": mask, **texts, "sample": items, "subject": subject}

    @property
    def training_items(self) -> Tensor:
        """All that are not held out."""
        return self._whether(held_out=False)

    @property
    def evaluation_items(self) -> Tensor:
        """Those held out; of subjects with two pictures, the last."""
        return torch.tensor([n for n, (k, v) in enumerate(self._place) if v == len(self._subjects[k].views) - 1])

    def _whether(self, held_out: bool) -> Tensor:
        kept = [n for n, (k, v) in enumerate(self._place) if (2 <= v == len(self._subjects[k].views) - 1) == held_out]
        return torch.tensor(kept, dtype=torch.int64)

    def drawn(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor]:
        """Several views of each of some subjects a batch."""
        return views_of_subjects(self.labels, self.training_items, batch_size, self.together, generator)

    @property
    def labels(self) -> Tensor:
        """The subjects."""
        return torch.tensor([k for k, _ in self._place], dtype=torch.int64)

    @property
    def classes(self) -> Sequence[str]:
        """The subjects' names."""
        return [subject.name for subject in self._subjects]

    @property
    def names(self) -> Sequence[str]:
        """The pictures' files."""
        return [f"{self._subjects[k].name}/{self._subjects[k].views[v].picture.name}" for k, v in self._place]

    @property
    def splits(self) -> Mapping[str, Split]:
        """None: of one held-out picture a subject no probe can be fitted."""
        return {}

    @property
    def source(self) -> str:
        """Where the pictures lie."""
        return (
            f"{len(self._subjects)} subjects, {len(self)} pictures in {self.path}; their licence is the user's affair"
        )
