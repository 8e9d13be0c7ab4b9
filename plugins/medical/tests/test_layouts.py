"""The images of CheXpert, ODIR and CelebA that the paper takes, from small stand-ins."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import transformers
from PIL import Image

from contrast_core import runs
from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.registry import discover
from contrast_medical.data.laidout import LaidOut
from contrast_medical.data.layouts import LAYOUTS


def paint(path, size=(20, 24), mode="L"):
    """Write a random image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)).save(path)


CHEXPERT = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Edema,Pneumonia,Pleural Effusion"


def chexpert(root):
    """Films of ten patients for each kind, and one each that must not be taken, without files."""
    kinds = {"none": "1.0,,,,", "heart": ",1.0,0.0,,", "edema": ",,1.0,1.0,", "effusion": ",0.0,,,1.0"}
    lines = [CHEXPERT]
    for number, said in enumerate(kinds.values()):
        for i in range(20):
            path = f"train/patient{number}{i // 2}/study{i % 2}/view1_frontal.jpg"
            paint(root / path)
            lines.append(f"CheXpert-v1.0-small/{path},{'Male' if i % 2 else 'Female'},{50 + i},Frontal,AP,{said}")
    for view, said in (
        ("Lateral,", "1.0,,,,"), ("Frontal,PA", "1.0,,,,"), ("Frontal,AP", ",1.0,1.0,,"), ("Frontal,AP", ",1.0,,,-1.0"),
        ("Frontal,AP", "1.0,-1.0,,,"), ("Frontal,AP", ",,,1.0,"),
    ):  # fmt: skip
        lines.append(f"CheXpert-v1.0-small/train/patient99/study1/nothing.jpg,Male,40,{view},{said}")
    (root / "train.csv").write_text("\n".join(lines) + "\n")
    paint(root / "valid" / "patient77" / "study1" / "view1_frontal.jpg")
    valid = "CheXpert-v1.0-small/valid/patient77/study1/view1_frontal.jpg,Unknown,0,Frontal,AP,0.0,1.0,0.0,0.0,0.0"
    (root / "valid.csv").write_text(f"{CHEXPERT}\n{valid}\n")


def odir(root):
    """Two eyes of ten patients for each kind; other diagnoses without files."""
    lines = ["ID,Patient Age,Patient Sex,Left-Diagnostic Keywords,labels,target,filename"]
    for number, letter in enumerate("NDGCAM"):
        for i in range(20):
            name = f"{number}{i // 2}_{'right' if i % 2 else 'left'}.jpg"
            paint(root / "preprocessed_images" / name, mode="RGB")
            lines.append(f"{number}{i // 2},{40 + i},{'Male' if i % 4 else 'Female'},x,['{letter}'],\"[1, 0]\",{name}")
    lines.append("900,50,Male,x,['H'],\"[1, 0]\",900_left.jpg")
    lines.append("901,50,Male,x,\"['D', 'M']\",\"[1, 0]\",901_left.jpg")
    (root / "full_df.csv").write_text("\n".join(lines) + "\n")


def celeba(root):
    """Ten faces of each kind, and one with glasses and a hat, without a file."""
    lines = ["61", "Blond_Hair Eyeglasses Male Wearing_Hat"]
    for number in range(60):
        accessory, sex = number // 20, number % 2
        paint(root / "img_align_celeba" / f"{number:06}.jpg", size=(218, 178), mode="RGB")
        values = (1, accessory == 1, sex, accessory == 2)
        lines.append(f"{number:06}.jpg " + " ".join(f"{1 if value else -1:2d}" for value in values))
    lines.append("000060.jpg 1 1 1 1")
    (root / "list_attr_celeba.txt").write_text("\n".join(lines) + "\n")


WRITE = {"chexpert": chexpert, "odir": odir, "celeba": celeba}


def loaded(root, layout, **options):
    """The data, read."""
    data = LaidOut(str(root), layout, **{"size": (12, 12), **options})
    data.load()
    return data


@pytest.mark.parametrize(
    ("layout", "counts", "salient", "common"),
    [
        ("chexpert", [20, 61], ("disease", ["cardiomegaly", "edema", "effusion"]), ["sex", "age"]),
        (
            "odir",
            [20, 100],
            ("disease", ["cataract", "diabetes", "glaucoma", "macular degeneration", "myopia"]),
            ["sex", "age", "eye"],
        ),
        ("celeba", [20, 40], ("accessory", ["glasses", "hat"]), ["sex"]),
    ],
)
def test_only_the_papers_images_are_taken(tmp_path, layout, counts, salient, common):
    """With their attributes, in the size asked for; the background has no salient attribute."""
    WRITE[layout](tmp_path)
    data = loaded(tmp_path, layout)
    assert data.roles.bincount().tolist() == counts
    assert data.images.shape == (sum(counts), 3, 12, 12)
    name, classes = salient
    assert list(data.attributes[name].classes) == classes
    assert [other for other, each in data.attributes.items() if each.space == "common"] == common
    assert (data.attributes[name].known == (data.roles == 1)).all()
    assert f"laid out as {layout}: {counts[0]} background" in data.source
    if "age" in common:
        assert data.attributes["age"].values.is_floating_point()


def test_what_is_not_known_of_a_patient_is_left_open(tmp_path):
    """The one film of CheXpert's validation part says no sex."""
    chexpert(tmp_path)
    data = loaded(tmp_path, "chexpert")
    assert data.names[-1].startswith("valid")
    assert not data.attributes["sex"].known[-1]
    assert list(data.attributes["sex"].classes) == ["Female", "Male"]


@pytest.mark.parametrize("layout", ["chexpert", "odir"])
def test_a_patient_is_trained_on_or_tested_on(tmp_path, layout):
    """Unless the paper's split is asked for; every kind is tested on."""
    WRITE[layout](tmp_path)
    for by_patient in (True, False):
        data = loaded(tmp_path, layout, by_patient=by_patient, validation=0.2, test=0.3)
        folder = {"chexpert": 1, "odir": -1}[layout]
        people = [name.split("/")[folder].split("_")[0] for name in data.names]
        trained, tested = data.training_items.tolist(), data.splits["all"].test.tolist()
        assert sorted([*trained, *tested]) == list(range(len(data)))
        both = {people[item] for item in trained} & {people[item] for item in tested}
        assert bool(both) is not by_patient
        kinds = data.attributes["disease"].values[data.splits["all"].test]
        assert set(kinds.tolist()) == {-1, *range(len(data.attributes["disease"].classes))}


def test_more_images_than_wanted_are_drawn_by_the_seed(tmp_path):
    """As many of each kind as the share says."""
    odir(tmp_path)
    share = 10 / 350
    first, again, other = (loaded(tmp_path, "odir", share=share, seed=seed) for seed in (0, 0, 1))
    kinds = first.attributes["disease"]
    assert {kinds.classes[c]: int((kinds.values == c).sum()) for c in range(5)} == {
        "cataract": 10, "diabetes": 11, "glaucoma": 10, "macular degeneration": 10, "myopia": 10,
    }  # fmt: skip
    assert first.names == again.names
    assert first.names != other.names


def test_the_middle_of_a_face_is_taken(tmp_path):
    """176 x 176 of 218 x 178 pixels."""
    celeba(tmp_path)
    data = loaded(tmp_path, "celeba", size=(176, 176))
    with Image.open(tmp_path / "img_align_celeba" / "000000.jpg") as image:
        expected = np.asarray(image)[21:197, 1:177].transpose(2, 0, 1)
    assert np.array_equal(data.images[0].numpy(), expected)


def test_wrong_folders_get_a_sentence(tmp_path):
    """None, no folder, no list, another one, numbers that are none, kinds that do not occur, a film that is missing."""
    with pytest.raises(ValueError, match=r"--set data\.path=FOLDER"):
        LaidOut()
    with pytest.raises(ValueError, match=r"share = 0 in \(0, 1\]"):
        LaidOut(str(tmp_path), share=0)
    with pytest.raises(ValueError, match="There is no folder"):
        loaded(tmp_path / "nothing", "odir")
    for layout, file in (("chexpert", "train.csv"), ("odir", "full_df.csv"), ("celeba", "list_attr_celeba.txt")):
        with pytest.raises(ValueError, match=f"{file} can't be read: there is no such file"):
            loaded(tmp_path, layout)
    (tmp_path / "list_attr_celeba.txt").write_text("2\nEyeglasses Male\n")
    with pytest.raises(ValueError, match="no attribute 'Wearing_Hat'"):
        loaded(tmp_path, "celeba")
    (tmp_path / "list_attr_celeba.txt").write_text("2\nEyeglasses Wearing_Hat Male\na.jpg 1 1\n")
    with pytest.raises(ValueError, match="line 3 has 3 cells instead of 4"):
        loaded(tmp_path, "celeba")
    (tmp_path / "full_df.csv").write_text("ID,Age,labels,filename\n1,5,['N'],a.jpg\n")
    with pytest.raises(ValueError, match="has no 'Patient Sex'"):
        loaded(tmp_path, "odir")
    odir(tmp_path)
    text = (tmp_path / "full_df.csv").read_text()
    (tmp_path / "full_df.csv").write_text(text.replace("['M']", "['O']"))
    with pytest.raises(ValueError, match=r"lists no image of 'myopia'; the layout 'odir' is full_df\.csv"):
        loaded(tmp_path, "odir")
    (tmp_path / "full_df.csv").write_text(text)
    (tmp_path / "preprocessed_images" / "30_left.jpg").unlink()
    with pytest.raises(ValueError, match=r"30_left\.jpg can't be read: there is no such file"):
        loaded(tmp_path, "odir")
    assert "1 files could not be read" in loaded(tmp_path, "odir", skip_corrupt=True).source
    chexpert(tmp_path)
    (tmp_path / "train.csv").write_text((tmp_path / "train.csv").read_text().replace(",50,", ",old,", 1))
    with pytest.raises(ValueError, match=r"train\.csv, line 2: 'Age' must be a number or empty, not 'old'"):
        loaded(tmp_path, "chexpert")


def test_every_layout_is_tested():
    """The list above is the code's."""
    assert set(WRITE) == set(LAYOUTS)


def composed(root):
    """Photographs in colour and grey overlays of three classes."""
    generator = np.random.default_rng(0)
    for name, shape in (("photos", (90, 32, 32, 3)), ("overlays", (60, 28, 28))):
        np.savez(
            root / f"{name}.npz",
            images=generator.integers(0, 255, shape, dtype=np.uint8),
            labels=np.arange(shape[0]) % 3,
        )
    return {name: str(root / f"{name}.npz") for name in ("photos", "overlays")}


@pytest.mark.parametrize("name", ["cifar-mnist", *WRITE])
def test_recipes_of_the_paper_run_whole_on_stand_ins(tmp_path, name):
    """One epoch: finite terms, and all attributes read from both spaces."""
    settings = {
        "training.epochs": 1, "training.device": "cpu", "training.threads": 1, "training.tensorboard": "off",
        "training.batch_size": 32,
    }  # fmt: skip
    if name == "cifar-mnist":
        files = composed(tmp_path)
        settings |= {f"data.{key}": path for key, path in files.items()}
        settings |= {"data.train_counts": [20, 20], "data.test_counts": [12, 12], "view.augment.size": 10}
    else:
        WRITE[name](tmp_path)
        settings |= {"data.path": str(tmp_path), "data.size": [32, 32], "data.test": 0.3}
    if name in ("chexpert", "odir"):
        config = transformers.ResNetConfig(embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic")
        transformers.ResNetModel(config).save_pretrained(tmp_path / "model")
        settings |= {f"encoder.{space}.model": str(tmp_path / "model") for space in ("common", "salient")}
    run = runs.run(f"medical/sepclr-{name}", set=settings, out=tmp_path / "run")
    lines = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert all(math.isfinite(entry["value"]) for line in lines for entry in line["terms"].values())
    found = {score.metric for score in run.scores["separation"]}
    told = {"celeba": ["accessory", "sex"], "cifar-mnist": ["digit", "object"]}.get(name, ["disease", "sex", "age"])
    assert {"delta", *(f"{each} in {space}" for each in told for space in ("common", "salient"))} <= found


@pytest.mark.parametrize(
    ("name", "option"), [("cifar-mnist", "photos=FILE"), *((name, "path=FOLDER") for name in WRITE)]
)
def test_recipes_of_the_paper_say_what_they_need(name, option):
    """The option that gives the data."""
    registry = discover()
    with pytest.raises(ContrastError, match=rf"--set data\.{option}"):
        compose(runs.find_recipe(f"medical/sepclr-{name}", registry), registry)
