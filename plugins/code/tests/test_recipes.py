"""The recipes: those that need no data of their own run whole on one library; the others compose, or run on little."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers

from contrast_core import runs
from contrast_core.compose import compose
from contrast_core.errors import ContrastError
from contrast_core.registry import Registry, discover

TRAINING: dict[str, Any] = {
    "training.epochs": 1, "training.batch_size": 32, "training.device": "cpu", "training.tensorboard": "off",
    "training.threads": 1,
}  # fmt: skip
SMALL: dict[str, Any] = {
    "data.libraries": ["networkx"], "data.limit": 300, "data.vocabulary": 600, "data.code_length": 32,
    "data.query_length": 12, **TRAINING,
}  # fmt: skip
OWN = ["code/cocosoda", "code/cocosoda-as-released", "code/cocosoda-tuned", "code/infonce"]


@pytest.fixture(scope="module")
def registry() -> Registry:
    """The installed plugins."""
    return discover()


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache folder of the tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTRAST_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.mark.parametrize("name", OWN)
def test_recipes_run_whole(name: str, registry: Registry, tmp_path: Path) -> None:
    """Finite terms, scores beside those of words alone, a report; the same run gives the same bits."""
    settings = {**SMALL, **({"stage.2.training.epochs": 1} if name.endswith("-tuned") else {})}
    first, again = (runs.run(name, set=settings, out=tmp_path / part, registry=registry) for part in ("a", "b"))
    lines = [json.loads(line) for line in (first.folder / "metrics.jsonl").read_text().splitlines()]
    values = [entry["value"] for line in lines for entry in line["terms"].values()]
    assert values
    assert all(math.isfinite(value) for value in values)
    found = {(line["evaluator"], line["metric"]) for line in json.loads((first.folder / "evaluation.json").read_text())}
    assert {("search", "MRR"), ("search", "R@1"), ("words", "TF-IDF MRR"), ("words", "BM25 R@10")} <= found
    assert (first.folder / "report.html").exists()
    assert (first.folder / "model.safetensors").read_bytes() == (again.folder / "model.safetensors").read_bytes()


def test_fine_tuning_goes_on_from_pre_training(registry: Registry, tmp_path: Path) -> None:
    """With a rate of zero the second stage leaves the weights of the first as they are."""
    told = {**SMALL, "stage.2.training.learning_rate": 0.0}
    whole = runs.run("code/cocosoda-tuned", set=told, out=tmp_path / "whole", registry=registry)
    first = runs.run("code/cocosoda", set=SMALL, out=tmp_path / "first", registry=registry)
    one, two = (load_file(run.folder / "model.safetensors") for run in (whole, first))
    (name,) = [name for name in one if "encoder.encoder.networks" in name]
    assert torch.equal(one[name], two[name])


def test_a_queue_shorter_than_a_batch_is_refused(registry: Registry, tmp_path: Path) -> None:
    """With the setting that would be right."""
    told = {**SMALL, "memory.code-queue.size": 16}
    with pytest.raises(ContrastError, match=r"holds 16 rows, fewer than a batch of 32.*memory\.code-queue\.size"):
        runs.run("code/cocosoda", set=told, out=tmp_path / "run", registry=registry)


def test_the_papers_recipe_composes_and_names_what_it_needs(registry: Registry, tmp_path: Path) -> None:
    """Its data come from the user, and the settings are those of the paper."""
    with pytest.raises(ContrastError, match="path"):
        compose(runs.find_recipe("code/cocosoda-codesearchnet", registry), registry)
    recipe = runs.find_recipe("code/cocosoda-codesearchnet", registry, [f"data.path={tmp_path}"])
    made = compose(recipe, registry)
    assert (made.training.steps, made.training.batch_size, made.training.learning_rate) == (100000, 128, 2e-5)


def test_the_papers_recipe_trains_a_model_of_transformers(registry: Registry, tmp_path: Path) -> None:
    """Two languages, a codebase, a small RoBERTa in a folder in place of UniXcoder."""
    transformers = pytest.importorskip("transformers")
    words = ["<s>", "<pad>", "</s>", "<mask>", "<encoder-only>", "<unk>", "x", "return", "(", ")", "identifier"]
    bare = Tokenizer(models.WordLevel({word: place for place, word in enumerate(words)}, unk_token="<unk>"))
    bare.pre_tokenizer = pre_tokenizers.Whitespace()  # type: ignore[assignment]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=bare, bos_token="<s>", pad_token="<pad>", eos_token="</s>", mask_token="<mask>",
        unk_token="<unk>", additional_special_tokens=["<encoder-only>"],
    )  # fmt: skip
    tokenizer.save_pretrained(tmp_path / "model")
    config = transformers.RobertaConfig(
        vocab_size=len(words), hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
        max_position_embeddings=64, pad_token_id=1,
    )  # fmt: skip
    transformers.RobertaModel(config, add_pooling_layer=False).save_pretrained(tmp_path / "model")
    for language, code in (("python", "def f(x):\n    return x + {n}\n"), ("go", "func F(x int) int { return {n} }")):
        (tmp_path / language).mkdir()
        for part, count in (("train", 24), ("valid", 4), ("test", 6), ("codebase", 12)):
            lines = [
                {"code": code.replace("{n}", f"{count}{n}"), "docstring_tokens": ["x", part, str(n)], "func_name": "f"}
                for n in range(count)
            ]
            (tmp_path / language / f"{part}.jsonl").write_text("\n".join(map(json.dumps, lines)))
    told = {
        "data.path": tmp_path, "data.tokenizer": str(tmp_path / "model"), "data.code_length": 32,
        "data.query_length": 12, "encoder.encoder.model": str(tmp_path / "model"), "memory.code-queue.size": 64,
        "memory.code-queue.dimension": 16, "memory.query-queue.size": 64, "memory.query-queue.dimension": 16,
        **TRAINING, "training.batch_size": 8, "training.steps": 4,
    }  # fmt: skip
    run = runs.run("code/cocosoda-codesearchnet", set=told, out=tmp_path / "run", registry=registry)
    found = json.loads((run.folder / "evaluation.json").read_text())
    assert {line["split"] for line in found} == {"python test", "go test"}
