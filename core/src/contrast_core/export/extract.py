"""The encoder taken out of a composition, once it is clear that it stands alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from contrast_core.compose import Composition
from contrast_core.embeddings import Embeddings
from contrast_core.errors import ContrastError
from contrast_core.export.module import EncoderModule, Input
from contrast_core.interfaces import Flow
from contrast_core.pipeline import Pipeline
from contrast_core.registry import Registry
from contrast_core.training.checkpoint import own_randomness
from contrast_core.training.embedding import evaluation_items

ITEMS = 8
"""On how many items it is tried out what the encoder reads."""


def extract(composition: Composition, registry: Registry) -> EncoderModule:
    """The encoder of a trained composition as a plain module on the CPU; the composition is left in evaluation mode.

    What the embedding needs of a batch is found by leaving out one entry after the other.

    Raises:
        ContrastError: if the encoder embeds items by other ones, by their numbers, or from anything but tensors with a
            row an item and lists of texts.
    """
    pipeline, data = composition.pipeline.cpu().eval(), composition.data
    section = composition.recipe.single("encoder")
    assert section is not None
    label = f"The encoder {section.use} can't be exported:"
    if data.whole:
        raise ContrastError(f"{label} it embeds the whole data set at once, as one graph, and no items by themselves.")
    with own_randomness(), torch.no_grad():
        batch = dict(data.batch(evaluation_items(data)[:ITEMS]))
        z = pipeline.embed(batch).z
        _check_independent(pipeline, batch, z, label)
        names = [name for name in batch if name != "sample" and not _same(pipeline, _without(batch, name), z)]
    if not names:
        raise ContrastError(f"{label} its embedding depends on nothing in a batch.")
    described = {name: Input.of(name, value, len(z)) for name, value in batch.items()}
    if odd := [name for name in names if described[name] is None]:
        kind = type(batch[odd[0]]).__name__
        raise ContrastError(f"{label} it reads '{odd[0]}', a {kind}, which is no tensor with a row for each item.")
    known = {name: each for name, each in described.items() if each is not None}
    fitted = dict(data.fitted())
    transforms = {name: each for name, each in type(data).transforms(fitted).items() if name in names}
    inputs = []
    for name in names:
        # Raw numbers are read in the precision that the transform computes in.
        kept = next((t.dtype for t in transforms[name].buffers()), None) if name in transforms else None
        dtype = known[name].dtype if kept is None else str(kept).removeprefix("torch.")
        inputs.append(Input(name, known[name].shape, dtype))
    description = _described(composition, registry, list(known.values()), inputs, z)
    views: Any = dict(pipeline.views.items())
    return EncoderModule(inputs, transforms, views, pipeline.encoder, description, fitted)


def _check_independent(pipeline: Pipeline, batch: Flow, z: Tensor, label: str) -> None:
    half = max(1, len(z) // 2)
    part = {name: value[:half] if Input.of(name, value, len(z)) else value for name, value in batch.items()}
    if not _same(pipeline, part, z[:half]):
        raise ContrastError(f"{label} it embeds an item by the others of its batch.")
    if "sample" in batch and not _same(pipeline, {**batch, "sample": batch["sample"].flip(0)}, z):
        raise ContrastError(f"{label} it looks items up by their numbers, so it embeds none but those of its data set.")


def _without(batch: Flow, name: str) -> Flow:
    return {key: value for key, value in batch.items() if key != name}


def _same(pipeline: Pipeline, batch: Flow, z: Tensor) -> bool:
    try:
        found: Embeddings = pipeline.embed(batch)
    except Exception:
        # Whatever an encoder raises without an input that it needs.
        return False
    return found.z.shape == z.shape and torch.allclose(found.z, z, rtol=1e-4, atol=1e-5)


def _described(
    composition: Composition, registry: Registry, batch: list[Input], inputs: list[Input], z: Tensor
) -> dict[str, Any]:
    recipe, views = composition.recipe, composition.pipeline.views
    sections = {kind: recipe.single(kind) for kind in ("encoder", "data")}
    found = {kind: registry.component(kind, section.use) for kind, section in sections.items() if section}
    used = [*found.values(), *(registry.component("view", recipe.named("view")[name].use) for name in views)]
    owners = {owner.distribution: owner.version for owner in map(registry.owner, used)}
    return {
        "format": 1,
        "recipe": recipe.name,
        "component": found["encoder"].name,
        "target": found["encoder"].target,
        "encoder": recipe.tree["encoder"],
        "view": {name: recipe.tree["view"][name] for name in views},
        "data": found["data"].name,
        "source": composition.data.source,
        "inputs": [_entry(each) for each in inputs],
        "batch": [_entry(each) for each in batch],
        "embedding": {"size": z.shape[1], "dtype": str(z.dtype).removeprefix("torch.")},
        "versions": {**owners, "torch": torch.__version__},
    }


def _entry(each: Input) -> Mapping[str, Any]:
    return {"name": each.name, "shape": list(each.shape), "dtype": each.dtype}
