"""One's own images in two groups: folders, tables and arrays, and what is wrong with them."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from PIL import Image

from contrast_medical.data.files import GroupedImages


def paint(path, mode="L", size=(8, 10)):
    """Write a random image of this height and width."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, 3) if mode == "RGB" else size
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)).save(path)


@pytest.fixture
def table(tmp_path):
    """Twelve images of six patients in a table, two thirds of them targets."""
    lines = ["image,role,eye,disease,age,part,patient"]
    for i in range(12):
        paint(tmp_path / "images" / f"{i}.png")
        role = "target" if i % 3 else "background"
        disease = ["none", "glaucoma", "myopia"][i % 3]
        part = "train" if i < 8 else "test"
        lines.append(f"images/{i}.png,{role},{'left' if i % 2 else 'right'},{disease},{'' if i == 5 else 60.5 + i},"
                     f"{part},p{i // 2}")  # fmt: skip
    path = tmp_path / "list.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def loaded(path, **options):
    """The images, read."""
    data = GroupedImages(path, **options)
    data.load()
    return data


def test_a_table_gives_roles_attributes_and_parts(table):
    """Salient attributes are those of targets, an empty number is unknown; the parts are the table's."""
    data = loaded(table, common=["eye", "age"], salient=["disease"], numbers=["age"], part="part", patient="patient")
    assert data.labels.tolist() == [0, 1, 1] * 4
    assert data.attributes["disease"].classes == ["glaucoma", "myopia"]
    assert data.attributes["disease"].values.tolist() == [-1, 0, 1] * 4
    assert data.attributes["eye"].values.tolist() == [1, 0] * 6
    ages = data.attributes["age"]
    assert ages.values.dtype == torch.float64
    assert ages.values[:5].tolist() == [60.5, 61.5, 62.5, 63.5, 64.5]
    assert ages.known.logical_not().nonzero().flatten().tolist() == [5]
    assert data.training_items.tolist() == list(range(8))
    assert data.splits["all"].test.tolist() == [8, 9, 10, 11]
    assert data.names[3] == "images/3.png"


def test_numbers_may_stand_as_numbers_in_lines_of_objects(table):
    """And a role as 0 or 1."""
    lines = [f'{{"image": "images/{i}.png", "role": {int(i % 3 > 0)}, "age": {i}.5}}' for i in range(12)]
    path = table.with_suffix(".jsonl")
    path.write_text("\n".join(lines))
    data = loaded(path, common=["age"], numbers=["age"])
    assert data.attributes["age"].values.tolist() == [i + 0.5 for i in range(12)]
    assert data.labels.tolist() == [0, 1, 1] * 4


@pytest.mark.parametrize("seed", range(3))
def test_a_drawn_split_keeps_a_patient_in_one_part(table, seed):
    """And leaves nobody out."""
    data = loaded(table, patient="patient", test=0.34, validation=0.17, split_seed=seed)
    split = data.splits["all"]
    patients = [{item // 2 for item in part.tolist()} for part in (split.train, split.val, split.test)]
    assert [len(each) for each in patients] == [3, 1, 2]
    assert set.union(*patients) == set(range(6))


def test_drawn_parts_have_classes_of_targets_in_proportion(table):
    """Each of two diseases is tested on once in four."""
    data = loaded(table, salient=["disease"], test=0.25, validation=0.0)
    assert sorted(data.attributes["disease"].values[data.splits["all"].test].tolist()) == [-1, 0, 1]


def test_a_table_may_name_files_elsewhere_and_data_travel_to_other_processes(table, tmp_path):
    """By whole paths; what was read is pickled."""
    text = table.read_text().replace("images/", f"{tmp_path}/images/")
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "list.csv").write_text(text)
    data = pickle.loads(pickle.dumps(loaded(folder / "list.csv")))
    assert data.names[0] == str(tmp_path / "images" / "0.png")
    assert torch.equal(data.images, loaded(table).images)


def test_two_folders_are_two_groups_and_classes_of_targets_an_attribute(tmp_path):
    """A folder a class below the target's; without such there is no attribute."""
    for i in range(5):
        paint(tmp_path / "background" / f"{i}.png")
        for name in ("edema", "effusion"):
            paint(tmp_path / "target" / name / f"{i}.png")
    data = loaded(tmp_path)
    assert data.labels.bincount().tolist() == [5, 10]
    assert data.attributes["class"].classes == ["edema", "effusion"]
    assert data.attributes["class"].values.tolist() == [-1] * 5 + [0] * 5 + [1] * 5
    assert "5 background and 10 target images" in data.source
    with pytest.raises(ValueError, match="is a folder, which has no 'age'"):
        loaded(tmp_path, common=["age"], numbers=["age"])
    for i in range(5):
        (tmp_path / "target" / "edema" / f"{i}.png").unlink()
    assert not loaded(tmp_path).attributes


def test_arrays_give_the_same(tmp_path):
    """-1 is no class."""
    np.savez(
        tmp_path / "a.npz", image=np.zeros((6, 5, 5, 3), np.uint8), role=np.array([0, 1] * 3),
        grade=np.array([-1, 2, -1, 3, -1, -1]), age=np.array([1.5, np.nan, 2, 3, 4, 5]),
    )  # fmt: skip
    data = loaded(tmp_path / "a.npz", salient=["grade"], common=["age"], numbers=["age"])
    assert data.images.shape == (6, 3, 5, 5)
    assert data.attributes["grade"].values.tolist() == [-1, 0, -1, 1, -1, -1]
    assert data.attributes["age"].known.tolist() == [True, False, True, True, True, True]


@pytest.mark.parametrize(
    ("keep", "words"), [("background", "All 4 images are background"), ("target", "All 8 images are target")]
)
def test_one_group_alone_is_refused(table, keep, words):
    """Background only, and an empty background."""
    header, *lines = table.read_text().splitlines()
    table.write_text("\n".join([header, *(line for line in lines if f",{keep}," in line)]))
    with pytest.raises(ValueError, match=words):
        loaded(table)


def test_an_empty_folder_of_targets_is_refused(tmp_path):
    """And one that is not there."""
    paint(tmp_path / "background" / "0.png")
    with pytest.raises(ValueError, match="has no folder 'target'"):
        loaded(tmp_path)
    (tmp_path / "target").mkdir()
    with pytest.raises(ValueError, match="target holds no images"):
        loaded(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "options", "words"),
    [
        ("1.png,target", "1.png,patient", {}, r"images/1\.png has the role 'patient', where only background, target"),
        ("test,p5", "exam,p5", {"part": "part"}, "has the part 'exam', where only train, val, test"),
        (",test,", ",val,", {"part": "part"}, "'part' of list.csv has no image of 'test'"),
        ("train,p3", "test,p3", {"part": "part", "patient": "patient"}, "The patient 'p3' is in two parts"),
        ("train,p3", "train,", {"patient": "patient"}, r"images/6\.png has no 'patient'"),
        ("61.5", "old", {"common": ["age"], "numbers": ["age"]}, "line 3: 'age' must be a number or empty, not 'old'"),
        ("", "", {"common": ["ege"]}, "has no 'ege'. Did you mean eye"),
        ("", "", {"common": ["age"], "salient": ["age"]}, "'age' is listed as common and as salient"),
        ("", "", {"numbers": ["age"]}, "numbers has 'age', which is listed neither"),
        ("", "", {"size": (0, 4)}, "at least one pixel"),
        ("", "", {"slice_at": 2.0}, r"slice_at = 2.0 in \[0, 1\]"),
    ],
)
def test_what_a_table_can_have_wrong_is_named(table, old, new, options, words):
    """Unknown roles and parts, an empty part, patients in two, a missing column, attributes of both spaces."""
    text = table.read_text()
    table.write_text(text.replace(old, new, 1 if old != ",test," else -1) if old else text)
    with pytest.raises(ValueError, match=words):
        loaded(table, **options)


def test_a_path_has_to_be_given():
    """The sentence says how."""
    with pytest.raises(ValueError, match=r"--set data\.path=PATH"):
        GroupedImages()


def test_a_corrupt_file_is_named_and_left_out_only_if_asked(table):
    """The other images keep their roles and attributes."""
    (table.parent / "images" / "4.png").write_bytes(b"no image")
    with pytest.raises(ValueError, match=r"4\.png can't be read"):
        loaded(table)
    data = loaded(table, salient=["disease"], skip_corrupt=True)
    assert len(data) == 11
    assert data.labels.tolist() == [0, 1, 1, 0, 1, 0, 1, 1, 0, 1, 1]
    assert "1 files could not be read" in data.source


def test_grey_beside_colour_is_refused_until_a_conversion_is_chosen(table):
    """The sentence names both files and the option; so it is with sizes."""
    paint(table.parent / "images" / "3.png", mode="RGB")
    with pytest.raises(ValueError, match="set channels = 1 or channels = 3"):
        loaded(table)
    assert loaded(table, channels=1).batch(torch.arange(2))["image"].shape == (2, 1, 8, 10)
    paint(table.parent / "images" / "3.png", size=(7, 7))
    with pytest.raises(ValueError, match=r"set size = \[height, width\]"):
        loaded(table)
    assert loaded(table, size=(6, 5)).images.shape == (12, 1, 6, 5)


def test_arrays_of_another_length_are_refused(tmp_path):
    """The sentence names the array."""
    np.savez(tmp_path / "a.npz", image=np.zeros((4, 6, 6), np.uint8), role=np.array([0, 1, 1]))
    with pytest.raises(ValueError, match=r"'role' has shape \(3,\), but there are 4 images"):
        loaded(tmp_path / "a.npz")
