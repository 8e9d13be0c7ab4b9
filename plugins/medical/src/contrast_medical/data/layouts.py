"""How three public data sets lie on a disk, and which of their images SepCLR's paper takes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from contrast_core.data.text_files import read_columns
from contrast_core.errors import did_you_mean
from contrast_medical.data.described import Facts


class Listed(NamedTuple):
    """One image: its file, whom it shows ("" where each image is somebody else), its kind, and facts about it."""

    path: Path
    patient: str
    kind: str
    facts: Mapping[str, str]


class Layout(NamedTuple):
    """How to find a data set's images and which to take.

    listing: lists all images that may be taken.
    kinds: how many of each kind are taken at most; those of `background` are the background.
    background: kinds.
    facts: what can be read from images.
    crop: height and width of the middle that is cut out first.
    wanted: what has to lie where.
    """

    listing: Callable[[Path], Iterator[Listed]]
    kinds: Mapping[str, int]
    background: tuple[str, ...]
    facts: Facts
    crop: tuple[int, int] | None
    wanted: str


CHEXPERT = {"Cardiomegaly": "cardiomegaly", "Edema": "edema", "Pleural Effusion": "effusion"}
ODIR = {"N": "normal", "D": "diabetes", "G": "glaucoma", "C": "cataract", "A": "macular degeneration", "M": "myopia"}
ACCESSORIES = ("Eyeglasses", "Wearing_Hat", "Male")


def _chexpert(root: Path) -> Iterator[Listed]:
    # Which certain findings a frontal film taken from front to back has of three: none at all, or just one.
    findings = ("No Finding", *CHEXPERT)
    for file in ("train.csv", "valid.csv"):
        if file == "valid.csv" and not (root / file).exists():
            continue
        found = read_columns(root / file, ("Path",), ("Sex", "Frontal/Lateral", "AP/PA"), ",", ("Age", *findings))
        for row in _rows(found):
            said = {column: float(row[column] or 0) for column in findings}
            certain = [name for column, name in CHEXPERT.items() if said[column] == 1]
            doubtful = any(said[column] < 0 for column in CHEXPERT)
            healthy = said["No Finding"] == 1 and not certain
            taken = healthy or len(certain) == 1
            if row["Frontal/Lateral"] != "Frontal" or row["AP/PA"] != "AP" or doubtful or not taken:
                continue
            kind = "no finding" if healthy else certain[0]
            # Paths start with the name of the data set's folder, which may be called otherwise here.
            parts = Path(row["Path"]).parts[1:]
            patient = next((part for part in parts if part.startswith("patient")), "")
            facts = {"disease": kind, "sex": row["Sex"].replace("Unknown", ""), "age": row["Age"]}
            yield Listed(root.joinpath(*parts), patient, kind, facts)


def _odir(root: Path) -> Iterator[Listed]:
    found = read_columns(root / "full_df.csv", ("filename", "labels"), ("ID", "Patient Sex"), ",", ("Patient Age",))
    for row in _rows(found):
        diagnoses = re.findall("[A-Z]", row["labels"])
        if len(diagnoses) == 1 and diagnoses[0] in ODIR:
            kind = ODIR[diagnoses[0]]
            eye = next((side for side in ("left", "right") if side in row["filename"]), "")
            facts = {"disease": kind, "sex": row["Patient Sex"], "age": row["Patient Age"], "eye": eye}
            yield Listed(root / "preprocessed_images" / row["filename"], row["ID"], kind, facts)


def _celeba(root: Path) -> Iterator[Listed]:
    file = root / "list_attr_celeba.txt"
    try:
        _, header, *lines = [*file.read_text(encoding="utf-8").splitlines(), "", ""]
    except (OSError, UnicodeDecodeError) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error).rstrip(".")
        raise ValueError(f"{file} can't be read: {reason}.") from error
    names = header.split()
    for name in ACCESSORIES:
        if name not in names:
            hint = did_you_mean(name, names) or " It must name the attributes in its second line."
            raise ValueError(f"{file} has no attribute '{name}'.{hint}")
    places = [names.index(name) + 1 for name in ACCESSORIES]
    for number, line in enumerate(lines, 3):
        cells = line.split()
        if not cells:
            continue
        if len(cells) != len(names) + 1:
            raise ValueError(f"{file}, line {number} has {len(cells)} cells instead of {len(names) + 1}.")
        glasses, hat, male = (cells[place] == "1" for place in places)
        if glasses and hat:
            continue
        accessory = "glasses" if glasses else "hat" if hat else ""
        sex = "male" if male else "female"
        kind = f"{accessory or 'nothing'}, {sex}"
        yield Listed(root / "img_align_celeba" / cells[0], "", kind, {"accessory": accessory, "sex": sex})


def _rows(columns: Mapping[str, list[str]]) -> Iterator[dict[str, str]]:
    return (dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))


LAYOUTS: Mapping[str, Layout] = {
    "chexpert": Layout(
        _chexpert,
        {"no finding": 10_000, "cardiomegaly": 3000, "edema": 3000, "effusion": 3000},
        ("no finding",),
        Facts(["sex", "age"], ["disease"], ["age"]),
        None,
        "train.csv and, if it is there, valid.csv beside the folders train and valid",
    ),
    "odir": Layout(
        _odir,
        {
            "normal": 2300, "diabetes": 400, "glaucoma": 350, "cataract": 350, "macular degeneration": 350,
            "myopia": 350,
        },
        ("normal",),
        Facts(["sex", "age", "eye"], ["disease"], ["age"]),
        None,
        "full_df.csv, a row an eye with its one label, and a folder preprocessed_images",
    ),
    "celeba": Layout(
        _celeba,
        {
            "nothing, female": 6000, "nothing, male": 6000, "glasses, female": 3000, "glasses, male": 3000,
            "hat, female": 3000, "hat, male": 3000,
        },
        ("nothing, female", "nothing, male"),
        Facts(["sex"], ["accessory"]),
        (176, 176),
        "list_attr_celeba.txt and a folder img_align_celeba",
    ),
}  # fmt: skip
