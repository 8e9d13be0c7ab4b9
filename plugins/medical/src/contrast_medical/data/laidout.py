"""The images of CheXpert, ODIR and CelebA that SepCLR's paper takes, from their folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, final

import torch

from contrast_core.data.image_files import Form, left_out, read_images
from contrast_core.data.labels import ordered
from contrast_core.data.splits import grouped_split, seeded_split
from contrast_medical.data.grouped import TwoGroups
from contrast_medical.data.layouts import LAYOUTS, Listed
from contrast_medical.roles import BACKGROUND, TARGET


@final
class LaidOut(TwoGroups):
    """A data set whose folder is laid out as it was published; the images taken are held in memory.

    "chexpert": frontal films from front to back: up to 10,000 without finding, the background, against 3,000 each of
    those with just one of cardiomegaly, edema and effusion, none of the three in doubt. "odir": eyes of one diagnosis:
    up to 2,300 normal against 400 of diabetes and 350 each of glaucoma, cataract, macular degeneration and myopia.
    "celeba": faces: 6,000 of each sex with neither glasses nor hat, against 3,000 of each sex with glasses and 3,000
    with a hat; the middle 176 x 176 pixels. Salient is the disease or accessory, common are sex, age and the side of
    an eye, as far as they are told. Where there are more images than that, they are drawn by `seed`.

    Args:
        path: the folder; it has to be given.
        layout: which data set it is: "chexpert" has train.csv and valid.csv; "odir" full_df.csv, ODIR-5K's table with a
            row an eye (ID, Patient Age, Patient Sex, labels, filename), beside preprocessed_images; "celeba"
            list_attr_celeba.txt beside img_align_celeba.
        size: height and width, to which images are resized.
        channels: 1 or 3, to which images are converted.
        share: of the numbers of images above, from above 0 to 1, for a smaller trial.
        by_patient: keep all images of a patient in one part.
        skip_corrupt: leave out files that can't be read, and say how many; otherwise the first one is refused.
        seed: of which images are taken.
        validation: fraction of the images, or patients, to choose a probe on.
        test: fraction of the images, or patients, to test a probe on.
        split_seed: of the split, every kind of image in proportion.

    Raises:
        ValueError: for a folder that is not given or options out of range; by `load`, in a sentence that names the
            file, for a list or an image that can't be read, a column that is missing, and kinds that do not occur.
        ContrastError: when loading without Pillow, which `pip install contrast-medical[images]` brings.

    Differs from the paper where `by_patient` is left on: there images are split, so that of one patient some are
    trained on and others tested on.

    Paper: Louiset et al., SepCLR, ICLR 2024, arXiv 2402.11928. CheXpert, Irvin et al., AAAI 2019, arXiv 1901.07031;
        CelebA, Liu et al., ICCV 2015, arXiv 1411.7766; ODIR-5K, Peking University's competition on ocular diseases.
    """

    def __init__(
        self,
        path: str | None = None,
        layout: Literal["chexpert", "odir", "celeba"] = "chexpert",
        size: tuple[int, int] = (224, 224),
        channels: Literal[1, 3] = 3,
        share: float = 1.0,
        by_patient: bool = True,
        skip_corrupt: bool = False,
        seed: int = 0,
        validation: float = 0.1,
        test: float = 0.1,
        split_seed: int = 0,
    ):
        super().__init__(validation, test, split_seed)
        if path is None:
            raise ValueError("These data are read from a folder: --set data.path=FOLDER.")
        if min(size) < 1 or not 0 < share <= 1:
            raise ValueError(f"size = {list(size)} must be at least one pixel, share = {share} in (0, 1].")
        self.path, self.layout, self.share, self.by_patient, self.seed = path, layout, share, by_patient, seed
        self.form = Form(size, channels, skip_corrupt, LAYOUTS[layout].crop)
        self._names: Sequence[str] = ()
        self._skipped: Sequence[str] = ()

    def load(self) -> None:
        """List the images, take some of each kind, read and split them."""
        layout, root = LAYOUTS[self.layout], Path(self.path)
        if not root.is_dir():
            raise ValueError(f"There is no folder {self.path}; give one with --set data.path=FOLDER.")
        chosen = self._chosen(root)
        found = read_images([each.path for each in chosen], self.form)
        chosen = [chosen[number] for number in found.kept.tolist()]
        self._names = [str(each.path.relative_to(root)) for each in chosen]
        self._skipped = found.skipped
        roles = torch.tensor([BACKGROUND if each.kind in layout.background else TARGET for each in chosen])
        kinds = torch.tensor([list(layout.kinds).index(each.kind) for each in chosen])
        columns = {name: [each.facts[name] for each in chosen] for name in layout.facts.names}
        # Who is not named is somebody of his own.
        patients = ordered([each.patient or str(each.path) for each in chosen])[1]
        fractions = (self.validation, self.test, self.split_seed)
        split = grouped_split(kinds, patients, *fractions) if self.by_patient else seeded_split(kinds, *fractions)
        self.take(found.images, roles, layout.facts.attributes(columns, roles), split)

    def _chosen(self, root: Path) -> list[Listed]:
        """As many of each kind as wanted, in the order of the list."""
        layout = LAYOUTS[self.layout]
        listed = list(layout.listing(root))
        generator = torch.Generator().manual_seed(self.seed)
        places: list[int] = []
        for kind, most in layout.kinds.items():
            have = [place for place, each in enumerate(listed) if each.kind == kind]
            if not have:
                raise ValueError(
                    f"{self.path} lists no image of '{kind}'; the layout '{self.layout}' is {layout.wanted}."
                )
            count = max(1, round(most * self.share))
            places += [have[i] for i in torch.randperm(len(have), generator=generator)[:count].tolist()]
        return [listed[place] for place in sorted(places)]

    @property
    def names(self) -> Sequence[str]:
        """Names of the files within the folder."""
        return self._names

    @property
    def source(self) -> str:
        """The folder, its layout, how many images of each group were taken and how many left out."""
        return f"{self.path}, laid out as {self.layout}: {self.counted}{left_out(self._skipped)}"
