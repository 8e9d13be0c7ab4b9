"""Random views of tensors."""

from __future__ import annotations

import pytest
import torch

from contrast_core.views.tensor import TensorViews


def test_evaluation_leaves_the_input_alone() -> None:
    """Every view is then the input itself."""
    x = torch.rand(3, 1, 4, 4)
    views = TensorViews(names=["a", "b", "c"]).eval()({"image": x})
    assert list(views) == ["a", "b", "c"]
    assert all(view is x for view in views.values())


def test_views_are_drawn_independently_and_leave_the_input() -> None:
    """Two views differ, two items differ, and the batch keeps its numbers."""
    torch.manual_seed(0)
    x = torch.ones(2, 50)
    views = TensorViews(source="x")({"x": x})
    assert not views["one"].equal(views["two"])
    assert not views["one"][0].equal(views["one"][1])
    assert (x == 1).all()


def test_the_global_seed_decides() -> None:
    """So that a run which restores the generator goes on with the same views."""
    x = torch.rand(4, 1, 6, 6)
    drawn = []
    for _ in range(2):
        torch.manual_seed(5)
        drawn.append(TensorViews()({"image": x})["two"])
    assert drawn[0].equal(drawn[1])


def test_a_shift_moves_whole_images_and_fills_with_zeros() -> None:
    """Each item equals one of the shifted images a plain loop makes; all channels move together."""
    torch.manual_seed(1)
    x = torch.rand(40, 2, 5, 4) + 0.1
    view = TensorViews(noise=0, drop=0, shift=1, names=["v"])({"image": x})["v"]
    seen = set()
    for item in range(len(x)):
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                moved = torch.zeros(2, 5, 4)
                for row in range(5):
                    for column in range(4):
                        if 0 <= row + dy < 5 and 0 <= column + dx < 4:
                            moved[:, row, column] = x[item, :, row + dy, column + dx]
                if moved.equal(view[item]):
                    seen.add((item, dy, dx))
    assert len(seen) == 40
    assert len({place[1:] for place in seen}) == 9


def test_noise_and_dropout_have_their_size() -> None:
    """The share of zeros is `drop`, the deviation of the noise is `noise`."""
    torch.manual_seed(2)
    x = torch.ones(100, 1000)
    kept = TensorViews(source="x", noise=0, drop=0.3, names=["v"])({"x": x})["v"]
    assert abs(float((kept == 0).double().mean()) - 0.3) < 0.01
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    noisy = TensorViews(source="x", noise=0.5, drop=0, names=["v"])({"x": x})["v"]
    assert abs(float(noisy.std()) - 0.5) < 0.01


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"noise": -1}, "standard deviation"),
        ({"drop": 1.0}, "probability"),
        ({"shift": -1}, "number of pixels"),
        ({"names": []}, "at least one view"),
        ({"names": ["a", "a"]}, "none twice"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, object], sentence: str) -> None:
    """Each with the reason."""
    with pytest.raises(ValueError, match=sentence):
        TensorViews(**options)  # type: ignore[arg-type]


def test_wrong_inputs_are_refused() -> None:
    """Whole numbers have no noise, and an image can't leave its frame."""
    with pytest.raises(ValueError, match="floating-point"):
        TensorViews()({"image": torch.ones(2, 3, dtype=torch.int64)})
    with pytest.raises(ValueError, match="out of sight"):
        TensorViews(shift=4)({"image": torch.ones(2, 1, 4, 8)})
