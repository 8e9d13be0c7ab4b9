"""Tables of embeddings: what they hold, refuse, and keep differentiable."""

from __future__ import annotations

import pytest
import torch

from contrast_core.embeddings import Embeddings, cat, code


def test_code_is_stable_and_fits_a_column() -> None:
    """The number of a name never changes, so saved queues keep their meaning."""
    assert code("queue") == code("queue") != code("student")
    assert all(0 <= code(name) < 2**62 for name in ("queue", "", "prototype"))
    assert code("queue") == 2014674957719045235


def test_a_table_of_one_field() -> None:
    """Columns given as a tensor, a number or a name hold one entry a row."""
    table = Embeddings.of(torch.randn(3, 2), sample=torch.arange(3), view=1, source="queue")
    assert len(table) == 3
    assert table["view"].tolist() == [1, 1, 1]
    assert table["source"].tolist() == [code("queue")] * 3
    assert "z" in table
    assert "label" not in table
    assert table.device == torch.device("cpu")


def test_select_and_detach_keep_rows_together() -> None:
    """Selecting is differentiable, by index and by mask; detaching ends that."""
    z = torch.randn(4, 2, requires_grad=True)
    table = Embeddings.of(z, sample=torch.arange(4))
    assert table.select(torch.tensor([2, 0]))["sample"].tolist() == [2, 0]
    kept = table.select(torch.tensor([True, False, False, True]))
    assert kept["sample"].tolist() == [0, 3]
    (grad,) = torch.autograd.grad(kept.z.sum(), z)
    assert grad[:, 0].tolist() == [1, 0, 0, 1]
    assert not table.detach().z.requires_grad


def test_with_fields_and_columns_leave_the_first_table_alone() -> None:
    """A table is never changed."""
    table = Embeddings.of(torch.ones(2, 2))
    more = table.with_fields(tokens=torch.ones(2, 3, 2)).with_columns(label=5)
    assert set(more.fields) == {"z", "tokens"}
    assert more["label"].tolist() == [5, 5]
    assert "tokens" not in table


def test_cat_keeps_what_all_tables_have() -> None:
    """Rows follow each other; names that one table lacks are left out."""
    first = Embeddings({"z": torch.ones(2, 3), "score": torch.ones(2)}, {"view": torch.zeros(2)})
    second = Embeddings({"z": torch.zeros(1, 3)}, {"view": torch.ones(1), "label": torch.ones(1)})
    both = cat([first, second])
    assert len(both) == 3
    assert list(both.fields) == ["z"]
    assert list(both.columns) == ["view"]


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Embeddings({}), "at least one field"),
        (lambda: Embeddings({"z": torch.tensor(1.0)}), "'z' is a single number"),
        (lambda: Embeddings({"z": torch.ones(2, 2)}, {"label": torch.ones(3)}), "'label' has shape .3,., .* 2 rows"),
        (lambda: Embeddings({"z": torch.ones(2, 2)}, {"z": torch.ones(2)}), "field and a column"),
        (lambda: cat([]), "no table"),
        (lambda: cat([Embeddings({"z": torch.ones(2, 2)}), Embeddings({"x": torch.ones(2, 2)})]), "share no field"),
        (lambda: cat([Embeddings.of(torch.ones(2, 2)), Embeddings.of(torch.ones(2, 3))]), "different shapes"),
    ],
)
def test_a_wrong_table_is_refused_with_its_name(make: object, sentence: str) -> None:
    """Each mistake has a sentence of its own."""
    with pytest.raises(ValueError, match=sentence):
        make()  # type: ignore[operator]


def test_an_unknown_name_says_what_there_is() -> None:
    """The message lists fields and columns."""
    with pytest.raises(KeyError, match="no field or column 'label'; it has z, view"):
        Embeddings.of(torch.ones(2, 2), view=0)["label"]


def test_joined_rows_keep_their_gradient_whoever_reads_them_first() -> None:
    """Once read without gradients or in inference mode, they still have them afterwards."""
    for reading in (torch.no_grad, torch.inference_mode):
        z = torch.ones(2, 3, requires_grad=True)
        both = cat([Embeddings.of(z), Embeddings.of(torch.zeros(1, 3))])
        with reading():
            assert both.z.shape == (3, 3)
        both.z.sum().backward()
        assert z.grad is not None
        assert both.z is both.z
