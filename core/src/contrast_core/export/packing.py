"""An exported encoder as a table for JSON and tensors by name, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from contrast_core.compose import encoder_alone
from contrast_core.errors import ContrastError
from contrast_core.export.module import EncoderModule, Input
from contrast_core.interfaces import Data
from contrast_core.recipe import Recipe, Source
from contrast_core.registry import Registry, discover
from contrast_core.training.checkpoint import own_randomness

FORMAT = 1
DATA = "data."
"""Before the names of the tensors that the data kept."""


def packed(module: EncoderModule) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """The description and the tensors of a module."""
    own = {f"{part}.{name}": value for part in PARTS for name, value in getattr(module, part).state_dict().items()}
    kept = {DATA + name: value for name, value in module.fitted.items()}
    return dict(module.description), {k: v.detach().cpu().contiguous().clone() for k, v in {**own, **kept}.items()}


PARTS = ("views", "encoder")


def unpacked(
    description: Mapping[str, Any], tensors: Mapping[str, Tensor], registry: Registry | None = None
) -> EncoderModule:
    """The module again, with the same bits; neither a data set nor a run folder is needed.

    Layers get their sizes from an empty batch of the described shapes, then their numbers from the tensors.

    Raises:
        ContrastError: if a component is not installed, or description, tensors and installed code do not fit.
    """
    registry = registry or discover()
    try:
        if description["format"] != FORMAT:
            raise ContrastError(f"The export has format {description['format']}; this version reads {FORMAT}.")
        batch = [Input(each["name"], tuple(each["shape"]), each["dtype"]) for each in description["batch"]]
        inputs = [Input(each["name"], tuple(each["shape"]), each["dtype"]) for each in description["inputs"]]
        sections = {"view": description["view"], "encoder": description["encoder"]}
        data: type[Data] = registry.component("data", description["data"]).load()
    except (KeyError, TypeError) as error:
        raise ContrastError(f"The description of the encoder is not whole: it lacks {error}.") from error
    fitted = {name.removeprefix(DATA): value for name, value in tensors.items() if name.startswith(DATA)}
    names = {each.name for each in inputs}
    transforms = {name: each for name, each in data.transforms(fitted).items() if name in names}
    views, encoder = encoder_alone(Recipe(sections, Source("encoder.json", {}, {}), None), registry)
    try:
        with own_randomness(), torch.no_grad():
            flow: dict[str, Any] = {each.name: each.blank(2) for each in batch}
            for view in views.values():
                view.eval().prepare(flow)
                flow.update(view(flow))
            encoder.eval().prepare(flow)
    except Exception as error:
        reason = " ".join(str(error).split())
        raise ContrastError(f"The encoder can't be built again without the data it was trained on: {reason}") from error
    module = EncoderModule(inputs, transforms, views, encoder, description, fitted)
    for part in PARTS:
        _fill(getattr(module, part), {k: v for k, v in tensors.items() if k.startswith(f"{part}.")}, part)
    return module


def _fill(part: nn.Module, tensors: Mapping[str, Tensor], name: str) -> None:
    try:
        part.load_state_dict({key.removeprefix(f"{name}."): value for key, value in tensors.items()})
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ContrastError(f"The exported weights do not fit the encoder that is installed here: {reason}") from error
