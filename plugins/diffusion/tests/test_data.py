"""Rendered subjects, folders of subjects, the batches of both, and views of the subjects."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from contrast_core.figures import png
from contrast_diffusion.data.batches import views_of_subjects
from contrast_diffusion.data.folders import SAMPLE, SubjectFolders
from contrast_diffusion.data.subjects import Subjects
from contrast_diffusion.views import Appearance, CutSubject, centred


@pytest.fixture(scope="module")
def subjects() -> Subjects:
    """The default data."""
    data = Subjects()
    data.load()
    return data


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the sample, to be spoilt."""
    shutil.copytree(SAMPLE, tmp_path / "pictures")
    return tmp_path / "pictures"


def loaded(path: Path, **more: object) -> SubjectFolders:
    """Data of a folder."""
    data = SubjectFolders(path, **more)  # type: ignore[arg-type]
    data.load()
    return data


def test_no_caption_tells_the_subject(subjects):
    """Every name is shared by three subjects, and the words of a caption are its class and its background."""
    batch = subjects.batch(torch.arange(len(subjects)))
    for name in set(batch["name"]):
        mine = {s for s, n in zip(batch["subject"].tolist(), batch["name"], strict=True) if n == name}
        assert len(mine) == 3
    assert len(set(batch["caption"])) == 12


def test_the_prompt_asks_for_another_background(subjects):
    """Never the one that the picture has."""
    batch = subjects.batch(torch.arange(len(subjects)))
    assert not (batch["background"] == batch["prompted"]).any()
    assert all(p.startswith(n) for p, n in zip(batch["prompt"], batch["name"], strict=True))


def test_held_out_views_are_not_trained_on(subjects):
    """No view that is evaluated is ever drawn."""
    assert not torch.isin(subjects.evaluation_items, subjects.training_items).any()
    split = subjects.splits["held-out"]
    assert sorted([*split.train.tolist(), *split.test.tolist()]) == sorted(subjects.evaluation_items.tolist())


def test_subjects_look_unlike_each_other_and_like_themselves(subjects):
    """By the features that scale negatives, a subject's views are nearer than other subjects."""
    batch = subjects.batch(subjects.evaluation_items)
    found = Appearance()(batch)["appearance"]
    cosines, same = found @ found.T, batch["subject"][:, None] == batch["subject"]
    assert float(cosines[same].mean()) > float(cosines[~same].mean()) + 0.2


@settings(max_examples=30, deadline=None)
@given(kinds=st.integers(1, 6), each=st.integers(2, 5), size=st.integers(4, 20), together=st.integers(2, 4))
def test_every_subject_of_a_batch_has_several_views(kinds, each, size, together):
    """Batches are as many whatever is drawn, no larger than asked for, without an item twice."""
    subject = torch.arange(kinds).repeat_interleave(each)
    items = torch.arange(len(subject))
    if size < together:
        with pytest.raises(ValueError, match="batch_size"):
            views_of_subjects(subject, items, size, together, torch.Generator())
        return
    drawn = [views_of_subjects(subject, items, size, together, torch.Generator().manual_seed(k)) for k in range(2)]
    assert len(drawn[0]) == len(drawn[1]) == max(1, len(items) // size)
    for batch in drawn[0]:
        assert len(batch) <= size
        assert len(batch.unique()) == len(batch)
        counts = subject[batch].bincount()
        # The last subject may be cut short where sizes don't divide.
        assert int((counts == 1).sum()) <= 1


def test_the_sample_reads_as_a_multi_view_folder():
    """Category, object, images and masks; a caption beside a picture is taken, others are made."""
    data = loaded(SAMPLE)
    assert len(data) == 12
    batch = data.batch(torch.tensor([0, 1]))
    assert batch["image"].shape == (2, 3, 16, 16)
    assert batch["name"] == ["a cross", "a cross"]
    assert batch["caption"][0].startswith("a cross ")
    assert batch["caption"][1] == "a photo of a cross"
    assert 0 < float(batch["mask"].mean()) < 1
    assert batch["prompt"][0] == "a cross in the jungle"


def test_dreambench_classes_are_read(folder):
    """prompts_and_classes.txt names the class of a subject's folder."""
    shutil.move(folder / "disc" / "object1" / "images", folder / "backpack_dog")
    for kind in ("disc", "square", "triangle", "cross"):
        shutil.rmtree(folder / kind)
    (folder / "prompts_and_classes.txt").write_text("subject_name,class\nbackpack_dog,backpack\n\nPrompts\n")
    data = loaded(folder)
    assert data.batch(torch.tensor([1]))["name"] == ["a backpack"]
    assert bool((data.batch(torch.tensor([0]))["mask"] == 1).all())


def test_a_subject_with_one_view_is_refused(folder):
    """The sentence names it."""
    for view in ("view2", "view3"):
        (folder / "disc" / "object1" / "images" / f"{view}.png").unlink()
    with pytest.raises(ValueError, match=r"disc/object1 has one picture, view1\.png"):
        loaded(folder)


def test_an_empty_caption_is_refused(folder):
    """The sentence names the file."""
    (folder / "disc" / "object1" / "images" / "view1.txt").write_text(" \n")
    with pytest.raises(ValueError, match=r"view1\.txt is empty"):
        loaded(folder)


def test_a_mask_that_is_missing_is_refused(folder):
    """Where others of the subject have one."""
    (folder / "disc" / "object1" / "masks" / "view2.png").unlink()
    with pytest.raises(ValueError, match=r"none for view2\.png"):
        loaded(folder)


def test_sizes_that_differ_are_refused_unless_all_are_resized(folder):
    """The sentence names the picture and the setting."""
    (folder / "disc" / "object1" / "images" / "view2.png").write_bytes(png(torch.zeros(3, 20, 24, dtype=torch.uint8)))
    with pytest.raises(ValueError, match=r"view2\.png has 24 x 20 pixels.*set size"):
        loaded(folder)
    assert loaded(folder, size=8).batch(torch.arange(12))["image"].shape == (12, 3, 8, 8)


def test_a_broken_picture_and_an_empty_folder_are_refused(folder, tmp_path):
    """The sentences name them."""
    (folder / "disc" / "object1" / "images" / "view2.png").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"view2\.png can't be read"):
        loaded(folder)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="holds no pictures"):
        loaded(tmp_path / "empty")
    with pytest.raises(ValueError, match="is no folder"):
        loaded(tmp_path / "nowhere")
    with pytest.raises(ValueError, match=r"--set data\.path"):
        SubjectFolders(required=True)


def test_a_cut_holds_the_subject_and_nothing_of_the_ground(subjects):
    """Another background leaves the cut of a subject the same, in evaluation mode in the middle."""
    batch = subjects.batch(torch.arange(20))
    mask = (batch["mask"] > 0.5).float()
    other = batch["image"] * mask + torch.rand(20, 3, 16, 16) * (1 - mask)
    view = CutSubject().eval()
    flow = {"image": batch["image"], "mask": mask}
    torch.testing.assert_close(view({**flow, "image": other})["cut"], view(flow)["cut"])
    lifted = centred(torch.ones_like(mask), mask, blank=0.0)[:, 0]
    line = torch.linspace(-1, 1, 16)
    for axis in (1, 2):
        middle = (lifted.sum(axis) * line).sum(1) / lifted.sum((1, 2))
        assert float(middle.abs().max()) < 0.35


def test_a_share_of_the_cuts_is_the_whole_picture(subjects):
    """About half by default, all cut out with segmented = 1."""
    batch = subjects.batch(torch.arange(200))
    torch.manual_seed(0)
    whole = (CutSubject().train()(batch)["cut"] == batch["image"]).flatten(1).all(1)
    assert 70 < int(whole.sum()) < 130
    assert not (CutSubject(segmented=1.0).train()(batch)["cut"] == batch["image"]).flatten(1).all(1).any()


def test_masks_of_another_size_are_refused(subjects):
    """The sentence gives both shapes."""
    batch = dict(subjects.batch(torch.arange(2)))
    batch["mask"] = batch["mask"][..., :8]
    for view in (CutSubject(), Appearance()):
        with pytest.raises(ValueError, match="same height"):
            view(batch)


@pytest.mark.parametrize("wrong", [{"subjects": 1}, {"views": 2}, {"draws": 1}, {"size": 4}, {"together": 1}])
def test_too_few_are_refused(wrong):
    """The sentence names the argument."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Subjects(**wrong)
