"""Fixtures shared by the tests of contrast-core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Objective, Outputs, PairSampler, Term
from contrast_core.pairs import Pairs
from contrast_core.testing.golden import Case, golden_cases

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str], list[Case]]:
    """Loads all golden cases of one function: arrays as tensors by name, the description under "meta"."""
    return partial(golden_cases, GOLDEN)


WORDS = ("a", "the", "cat", "dog", "sits", "runs", "on", "under", "mat", "tree", "sun", "today", "it", "rains", "again")


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a BERT of 16 numbers a token, at random, and a tokenizer of some words and all letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = [f"{start}{chr(c)}" for c in range(ord("a"), ord("z") + 1) for start in ("", "##")]
    vocabulary = {word: number for number, word in enumerate(dict.fromkeys([*special, *WORDS, *letters]))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ends = [(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")]
    made.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    folder = tmp_path_factory.mktemp("bert")
    PreTrainedTokenizerFast(tokenizer_object=made, model_max_length=24, **names).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        config = BertConfig(vocab_size=len(vocabulary), max_position_embeddings=24, **sizes)
        BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def run() -> Callable[..., Term]:
    """run(objective, sampler, one=table, two=table, ...) -> its one term; memories are given by name too."""

    def evaluate(objective: Objective, sampler: PairSampler | None = None, **flow: Any) -> Term:
        pairs: Mapping[str, Pairs] = sampler(flow) if sampler is not None else {}
        tables = {name: value for name, value in flow.items() if isinstance(value, Embeddings)}
        term = objective(Outputs(tables, pairs, {}))
        assert isinstance(term, Term)
        return term

    return evaluate


@pytest.fixture
def table() -> Callable[..., Embeddings]:
    """table(z, **columns): a table whose rows are samples 0, 1, ..., unless columns say otherwise."""

    def make(z: Tensor, **columns: Any) -> Embeddings:
        return Embeddings.of(z, **{"sample": torch.arange(len(z)), **columns})

    return make


@pytest.fixture
def rows() -> Callable[..., Tensor]:
    """rows(n, d, seed): float64 normal rows that want a gradient."""

    def draw(n: int, d: int = 8, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.randn(n, d, generator=generator, dtype=torch.float64).requires_grad_()

    return draw
