"""Language models as encoders of texts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import contrast_core as contrast
from contrast_core import runs
from contrast_core.adapters.transformers import Transformers, pool
from contrast_core.embeddings import code
from contrast_core.errors import ContrastError
from contrast_core.training.checkpoint import own_randomness

TEXTS = ["the cat sits on the mat", "a dog", "it rains today", "sun", "zebra runs under a tree again and again"]


def flow(texts: list[str] = TEXTS) -> dict[str, Any]:
    """Texts as both views."""
    return {"one": texts, "two": texts, "sample": torch.arange(len(texts))}


@pytest.fixture
def encoder(language_model: Path) -> Callable[..., Transformers]:
    """encoder(**options): prepared, in evaluation mode."""

    def make(**options: Any) -> Transformers:
        made = Transformers(path=language_model, **options)
        with own_randomness():
            torch.manual_seed(0)
            made.prepare(flow())
        return made.eval()

    return make


@pytest.mark.parametrize("how", ["mean", "cls", "last"])
def test_pooling_ignores_padding(how: str, encoder: Callable[..., Transformers]) -> None:
    """A text's embedding is that of the text alone, by a plain loop over its tokens."""
    made = encoder(pooling=how)
    together = made.embed(flow()).z
    for number, text in enumerate(TEXTS):
        tokens = made.tokenizer(text, return_tensors="pt", truncation=True, max_length=24)
        vectors = made.model(**tokens).last_hidden_state[0]
        expected = {"mean": sum(vectors) / len(vectors), "cls": vectors[0], "last": vectors[-1]}[how]
        torch.testing.assert_close(together[number], expected, rtol=1e-4, atol=1e-5)


def test_pooling_of_given_vectors() -> None:
    """Two texts of three and one tokens."""
    tokens = torch.tensor([[[1.0], [2.0], [6.0]], [[4.0], [9.0], [9.0]]])
    mask = torch.tensor([[1, 1, 1], [1, 0, 0]])
    found = {how: pool(tokens, mask, how).flatten().tolist() for how in ("mean", "cls", "last")}
    assert found == {"mean": [3.0, 4.0], "cls": [1.0, 4.0], "last": [6.0, 4.0]}


def test_dropout_makes_the_views_differ_in_training_alone(encoder: Callable[..., Transformers]) -> None:
    """One text given twice has two embeddings in training, and one in evaluation."""
    made = encoder()
    tables = made(flow())
    torch.testing.assert_close(tables["one"].z, tables["two"].z)
    tables = made.train()(flow())
    assert (tables["one"].z - tables["two"].z).abs().max() > 1e-3


def test_the_head_is_used_in_training_and_not_in_the_embedding(encoder: Callable[..., Transformers]) -> None:
    """z = tanh(W h + b), and h is what is embedded."""
    made = encoder(projection=3)
    h, z = made.embed(flow()).z, made(flow())["two"].z
    assert h.shape == (5, 16)
    first = made.head[0]  # type: ignore[index]
    assert isinstance(first, nn.Linear)
    torch.testing.assert_close(z, torch.tanh(h @ first.weight.T + first.bias))


def test_tables_carry_columns(encoder: Callable[..., Transformers]) -> None:
    """Sample, view and label."""
    tables = encoder()({**flow(), "label": torch.arange(5) % 2})
    assert tables["two"]["view"].tolist() == [code("two")] * 5
    assert tables["two"]["sample"].tolist() == [0, 1, 2, 3, 4]
    assert tables["one"]["label"].tolist() == [0, 1, 0, 1, 0]


def test_normalised_embeddings_have_length_one(encoder: Callable[..., Transformers]) -> None:
    """And the direction that they had before."""
    unit, plain = encoder(normalise=True).embed(flow()).z, encoder().embed(flow()).z
    torch.testing.assert_close(unit, plain / plain.norm(dim=1, keepdim=True))


def test_long_texts_are_cut_off(encoder: Callable[..., Transformers]) -> None:
    """At max_length, or where the model ends; the special tokens count."""
    short, whole = encoder(max_length=4), encoder()
    long = "cat dog " * 40
    torch.testing.assert_close(short.embed(flow([long])).z, whole.embed(flow(["cat dog"])).z)
    torch.testing.assert_close(whole.embed(flow([long])).z, whole.embed(flow(["cat dog " * 11])).z)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "give either model, a name on the Hugging Face hub, or path"),
        ({"model": "x", "path": Path("y")}, "give either model"),
        ({"model": "x", "views": []}, "at least one name and none twice"),
        ({"model": "x", "projection": 0}, "projection = 0 must be at least 1"),
    ],
)
def test_wrong_options_are_refused(options: dict[str, Any], message: str) -> None:
    """Before anything is loaded."""
    with pytest.raises(ValueError, match=message):
        Transformers(**options)


def test_a_model_that_is_not_there_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Offline, one sentence: a name that is in no cache, and a folder without a model."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    for missing in (Transformers(model="nobody/no-such-model"), Transformers(path=tmp_path)):
        with pytest.raises(ValueError, match=r"The model '.*' can't be loaded: a folder with model.safetensors"):
            missing.prepare(flow())


def test_more_tokens_than_the_model_takes_are_refused(language_model: Path) -> None:
    """The sentence says how many it takes."""
    with pytest.raises(ValueError, match=r"max_length = 25, but .* takes at most 24 tokens"):
        Transformers(path=language_model, max_length=25).prepare(flow())


def test_inputs_that_are_no_texts_are_refused(encoder: Callable[..., Transformers]) -> None:
    """A tensor, or one text instead of a list."""
    for wrong in (torch.zeros(3), "a cat", [1, 2]):
        with pytest.raises(ValueError, match="The view 'one' must be a list of texts"):
            encoder().embed({"one": wrong})


@pytest.mark.parametrize("step", [{}, {"step.use": "core/gradient-cache", "step.chunk": 3}], ids=["whole", "chunks"])
@pytest.mark.parametrize("workers", [0, 1])
def test_simcse_trains_on_a_file(
    step: dict[str, Any], workers: int, language_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the recipe, in one batch or in chunks, with a loader process or without; the embedding is of every text."""
    monkeypatch.setattr(runs, "write_report", lambda folder: folder)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS * 2), encoding="utf-8")
    settings = {
        "data.path": tmp_path / "texts.txt", "encoder.path": language_model, "encoder.max_length": 12,
        "encoder.projection": 8, "training.batch_size": 5, "training.steps": 2, "training.learning_rate": 0.01,
        "training.threads": 1, "training.tensorboard": "off", "training.workers": workers,
    }  # fmt: skip
    folder = contrast.run("core/texts-simcse", set={**settings, **step}, out=tmp_path / "run").folder
    z = contrast.embed(folder).z
    assert z.shape == (10, 16)
    torch.testing.assert_close(z[:5], z[5:])
    before = Transformers(path=language_model, pooling="cls")
    before.prepare(flow())
    assert (before.eval().embed(flow()).z - z[:5]).abs().max() > 1e-2


def test_without_the_library_the_line_that_installs_it_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence, as for every extra."""
    monkeypatch.setattr("contrast_core.adapters.named.find_spec", lambda name: None)
    with pytest.raises(ContrastError, match=r"pip install 'contrast-core\[transformers\]'"):
        Transformers(model="x")
