"""Encoders with the weights of others: the authors' golden case, and what they released."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from contrast_core.embeddings import Embeddings, code
from contrast_recommendation.data.component import Interactions
from contrast_recommendation.ranking import FullRanking
from contrast_recommendation.weights import encoder_of, read_state

GOLDEN = Path(__file__).parent / "golden"


def test_the_authors_weights_give_the_authors_states():
    """The state dict of the golden case, read from its file, gives its states and scores."""
    path = GOLDEN / "sasrec_encoder-1.npz"
    encoder = encoder_of(read_state(path, "in_w__"))
    with np.load(path) as file:
        golden = {name: torch.from_numpy(file[name]) for name in file.files if name != "meta"}
    flow = {"item_seq": golden["in_item_seq"], "length": golden["in_item_seq_len"], "sample": torch.arange(8)}
    found = encoder.embed(flow).z
    torch.testing.assert_close(found, golden["out_h"], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(found @ encoder.item_embedding.weight.T, golden["out_scores"], rtol=1e-10, atol=1e-12)


def test_the_released_encoder_ranks_as_published(tmp_path):
    """16 users of Amazon Beauty: the ranks of the known case, with the items that score below left out.

    The case is made by `benchmarks/released.py --slice`, which also does it for all users and items.
    """
    path = GOLDEN / "released-1.npz"
    with np.load(path) as file:
        items, ends, known = file["in_items"], file["in_lengths"].cumsum(), file["in_known"]
        ranks = {part: file[f"out_{part}_rank"].tolist() for part in ("valid", "test")}
    lines = [f"{user} " + " ".join(map(str, own)) for user, own in enumerate(np.split(items, ends[:-1]))]
    (tmp_path / "beauty.txt").write_text("\n".join(lines))
    data = Interactions(tmp_path / "beauty.txt", item_minimum=1)
    data.load()
    data.adopt({"items": torch.tensor([code(str(item)) for item in known.tolist()])})
    encoder = encoder_of(read_state(path))
    weight = encoder.item_embedding.weight.detach()
    with torch.no_grad():
        z = encoder.embed(data.batch(data.evaluation_items)).z
    tables = {
        "embedding": Embeddings.of(z, sample=data.evaluation_items),
        "items": Embeddings.of(weight, sample=torch.arange(len(weight))),
    }
    assert {part: r.tolist() for part, r in FullRanking().ranks(tables, data).items()} == ranks


def test_weights_that_do_not_fit(tmp_path):
    """A missing file, one without weights, a lacking and a misshapen tensor are named."""
    with pytest.raises(ValueError, match="there is no such file"):
        read_state(tmp_path / "none.npz")
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="no array whose name begins with 'w__'"):
        read_state(tmp_path / "other.npz")
    (tmp_path / "bad.npz").write_text("nonsense")
    with pytest.raises(ValueError, match="can't be read as a NumPy file"):
        read_state(tmp_path / "bad.npz")
    state = read_state(GOLDEN / "sasrec_encoder-1.npz", "in_w__")
    with pytest.raises(ValueError, match=r"must hold 'item_embedding\.weight'"):
        encoder_of({})
    with pytest.raises(ValueError, match=r"lack 'LayerNorm\.bias'"):
        encoder_of({name: tensor for name, tensor in state.items() if name != "LayerNorm.bias"})
    with pytest.raises(ValueError, match=r"'LayerNorm\.bias' must be \(8,\), not \(3,\)"):
        encoder_of({**state, "LayerNorm.bias": torch.zeros(3)})
