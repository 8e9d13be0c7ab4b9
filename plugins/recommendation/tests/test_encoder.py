"""The encoder: golden cases, the plain computation, and what it refuses."""

from __future__ import annotations

import math

import pytest
import torch
from torch.nn.functional import gelu, layer_norm, one_hot

from contrast_core.embeddings import Embeddings
from contrast_recommendation.encoder import SASRec


def load(encoder: SASRec, case: dict, prefix: str = "in_w__") -> None:
    """The golden weights, without the item table's last row, which is not used."""
    state = {name.removeprefix(prefix): value for name, value in case.items() if name.startswith(prefix)}
    state["item_embedding.weight"] = state["item_embedding.weight"][:-1]
    encoder.load_state_dict(state)


def plain(encoder: SASRec, items: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """The encoder as it is written in the paper: one sequence, one head, one query at a time, all of them, padded."""
    state, heads = encoder.state_dict(), encoder.block[1]
    size = encoder.size // heads
    norm = lambda x, name: layer_norm(x, x.shape[-1:], state[f"{name}.weight"], state[f"{name}.bias"], 1e-12)  # noqa: E731
    found = []
    for row, n in zip(items, length.tolist(), strict=True):
        x = norm(state["item_embedding.weight"][row] + state["position_embedding.weight"][: len(row)], "LayerNorm")
        for block in range(encoder.layers):
            path = f"trm_encoder.layer.{block}"
            linear = lambda x, name: x @ state[f"{name}.weight"].T + state[f"{name}.bias"]  # noqa: E731
            attention, forward = f"{path}.multi_head_attention", f"{path}.feed_forward"
            q, k, v = (linear(x, f"{attention}.{name}") for name in ("query", "key", "value"))
            mixed = torch.zeros_like(x)
            for head in range(heads):
                part = slice(head * size, (head + 1) * size)
                for place in range(len(row)):
                    scores = q[place, part] @ k[:, part].T / math.sqrt(size)
                    hidden = (row == 0) | (torch.arange(len(row)) > place)
                    mixed[place, part] = (scores + torch.where(hidden, -10000.0, 0.0)).softmax(0) @ v[:, part]
            y = norm(x + linear(mixed, f"{attention}.dense"), f"{attention}.LayerNorm")
            x = norm(y + linear(gelu(linear(y, f"{forward}.dense_1")), f"{forward}.dense_2"), f"{forward}.LayerNorm")
        found.append(x[n - 1])
    return torch.stack(found)


def test_golden_states_scores_and_gradients(golden, encoder):
    """As the authors' encoder, with masked items inside of the sequences."""
    for case in golden("sasrec_encoder"):
        params = case["meta"]["params"]
        batch = {
            "item_seq": case["in_item_seq"],
            "length": case["in_item_seq_len"],
            "items": torch.tensor(params["n_items"] - 1),
            "sample": torch.arange(len(case["in_item_seq"])),
        }
        made = encoder(batch, size=params["hidden"], inner=params["inner"])
        load(made, case)
        tables = made(batch)
        h, items = tables["sequence"].z, tables["items"].z
        torch.testing.assert_close(h, case["out_h"], rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(h @ items.T, case["out_scores"], rtol=1e-10, atol=1e-12)
        (h * case["in_cotangent"]).sum().backward()
        gradients = {name: parameter.grad for name, parameter in made.named_parameters()}
        wanted = {name.removeprefix("grad_w__"): value for name, value in case.items() if name.startswith("grad_w__")}
        assert "item_embedding.weight" in wanted
        wanted["item_embedding.weight"] = wanted["item_embedding.weight"][:-1]
        for name, value in wanted.items():
            torch.testing.assert_close(gradients[name], value, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_encoder_is_the_plain_computation(encoder, sequences, layers):
    """Trimming, sorting and the last query alone change no number, whatever the lengths and holes."""
    batch = sequences(24, 12)
    batch["item_seq"][3, 0] = batch["item_seq"][10, 4] = batch["item_seq"][10, 10] = 0
    # Nothing but masked items: the queries see nothing, so they attend to all places.
    batch["item_seq"][6] = 0
    made = encoder(batch, layers=layers)
    expected = plain(made, batch["item_seq"], batch["length"])
    torch.testing.assert_close(made(batch)["sequence"].z, expected, rtol=1e-11, atol=1e-12)
    torch.testing.assert_close(made.embed(batch).z, expected, rtol=1e-11, atol=1e-12)


def test_views_are_encoded_like_sequences_of_their_own(encoder, sequences):
    """One forward pass for all gives what a pass for each gives, in the order of the batch."""
    batch, one, two = (sequences(20, seed=seed) for seed in range(3))
    made = encoder(batch, views=("one", "two"))
    views = {"item_seq_one": one["item_seq"], "length_one": one["length"]}
    views |= {"item_seq_two": two["item_seq"].roll(3, 0), "length_two": two["length"].roll(3, 0)}
    tables = made({**batch, **views})
    torch.testing.assert_close(tables["sequence"].z, made.embed(batch).z, rtol=1e-11, atol=1e-12)
    rolled = {name: two[name].roll(3, 0) for name in ("item_seq", "length")}
    for name, view in (("one", one), ("two", rolled)):
        torch.testing.assert_close(tables[name].z, made.embed({**batch, **view}).z, rtol=1e-11, atol=1e-12)
        assert torch.equal(tables[name]["sample"], batch["sample"])
        assert torch.equal(tables[name]["target"], batch["target"])
    assert set(tables) | {f"{t}.{c}" for t in tables for c in ("z", "sample", "target")} == set(made.gives)


def test_unchanged_views_differ_by_dropout_in_training_and_not_in_evaluation(encoder, sequences):
    """So they cost no pass of their own where nothing is drawn."""
    batch = sequences()
    views = {f"{name}_{view}": batch[name] for name in ("item_seq", "length") for view in ("one", "two")}
    made = encoder(batch, views=("one", "two"), dropout=0.5)
    tables = made({**batch, **views})
    assert not torch.allclose(tables["one"].z, tables["two"].z)
    assert not torch.allclose(tables["one"].z, tables["sequence"].z)
    tables = made.eval()({**batch, **views})
    assert torch.equal(tables["one"].z, tables["two"].z)
    assert torch.equal(tables["one"].z, tables["sequence"].z)


def test_items_are_a_table_that_all_batches_share(encoder, sequences):
    """Row i is item i, the padding item included, and gradients reach the weights."""
    batch = sequences(items=7)
    made = encoder(batch)
    table = made(batch)["items"]
    assert isinstance(table, Embeddings)
    assert made.shared == ("items",)
    assert table.z is made.item_embedding.weight
    assert table["sample"].tolist() == table["target"].tolist() == list(range(8))


def test_padding_row_starts_random_and_learns_as_a_candidate_alone(encoder, sequences):
    """A look-up gives row 0 no gradient."""
    batch = sequences()
    batch["item_seq"][5, 1] = 0
    fresh = SASRec(views=(), size=8, inner=12)
    fresh.prepare(batch)
    assert float(fresh.item_embedding.weight[0].detach().norm()) > 0
    made = encoder(batch)
    tables = made(batch)
    tables["sequence"].z.square().sum().backward()
    gradient = made.item_embedding.weight.grad
    assert gradient is not None
    assert float(gradient[0].abs().sum()) == 0.0
    assert float(gradient[1:].abs().sum()) > 0
    made.zero_grad()
    (tables["items"].z[0] * one_hot(torch.tensor(2), 8)).sum().backward()
    assert made.item_embedding.weight.grad is not None
    assert float(made.item_embedding.weight.grad[0, 2]) == 1.0


def test_initial_weights(sequences):
    """Matrices are N(0, 0.02^2), biases 0, layer normalisations the identity."""
    torch.manual_seed(0)
    batch = sequences(items=400)
    made = SASRec(views=())
    made.prepare(batch)
    for name, parameter in made.named_parameters():
        if "LayerNorm" in name:
            assert parameter.unique().tolist() == [float(name.endswith("weight"))]
        elif name.endswith("bias"):
            assert not parameter.any()
        else:
            deviation = 0.02 / math.sqrt(2 * parameter.numel())
            assert abs(float(parameter.detach().std()) - 0.02) < 5 * deviation


def test_parameters_of_beauty():
    """As many as the authors' encoder has, but for the unused last row of its item table."""
    made = SASRec(views=())
    made.prepare({"items": torch.tensor(12101), "item_seq": torch.zeros(1, 50, dtype=torch.int64)})
    assert sum(parameter.numel() for parameter in made.parameters()) == 877_888 - 64


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"layers": 0}, "must be at least 1"),
        ({"size": 9, "heads": 2}, "multiple of heads"),
        ({"dropout": 1.0}, "Dropout lies in"),
        ({"attention_dropout": -0.1}, "Dropout lies in"),
        ({"views": ("one", "one")}, "different names"),
        ({"views": ("sequence",)}, "different names"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    """One sentence says what would be right."""
    with pytest.raises(ValueError, match=words):
        SASRec(**settings)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b["length"].__setitem__(2, 0), "Row 2 has the length 0"),
        (lambda b: b["length"].__setitem__(2, 11), "Row 2 has the length 11"),
        (lambda b: b["item_seq"].__setitem__((1, 0), 21), "names item 21, but items are numbered from 1 to 20"),
        (lambda b: b["item_seq"].__setitem__((1, 0), -1), "names item -1"),
        (lambda b: b.update(item_seq=torch.ones(12, 11, dtype=torch.int64)), "11 places; .* at most 10"),
    ],
)
def test_bad_sequences_are_refused(encoder, sequences, change, words):
    """Before anything is computed, with the row or the item."""
    made, batch = encoder(sequences()), sequences()
    change(batch)
    with pytest.raises(ValueError, match=words):
        made(batch)


def test_number_of_items_must_be_told(sequences):
    """Without it there is no table to build."""
    batch = sequences()
    del batch["items"]
    with pytest.raises(ValueError, match="how many items"):
        SASRec(views=()).prepare(batch)
