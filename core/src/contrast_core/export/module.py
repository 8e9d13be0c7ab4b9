"""A trained encoder as a plain module: raw inputs in, an embedding out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

import torch
from attrs import frozen
from torch import Tensor, nn

from contrast_core.errors import ContrastError
from contrast_core.interfaces import Encoder, View

TEXT = "text"


@frozen
class Input:
    """One named input of n items.

    Args:
        name: as in a batch.
        shape: of one item.
        dtype: of torch, "float32", or "text" for a list of texts.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @classmethod
    def of(cls, name: str, value: Any, n: int) -> Input | None:
        """What the entry of a batch of n items is, or None if it is no tensor with a row an item and no n texts."""
        if not isinstance(value, Tensor | list | tuple) or (isinstance(value, Tensor) and not value.dim()):
            return None
        if len(value) != n:
            return None
        if isinstance(value, Tensor):
            return cls(name, tuple(value.shape[1:]), str(value.dtype).removeprefix("torch."))
        return cls(name, (), TEXT) if all(isinstance(each, str) for each in value) else None

    def blank(self, n: int) -> Any:
        """An input of n items that says nothing: zeros, or empty texts."""
        return [""] * n if self.dtype == TEXT else torch.zeros(n, *self.shape, dtype=getattr(torch, self.dtype))


@final
class EncoderModule(nn.Module):
    """embedding = encoder(views(transform(inputs))), in evaluation mode: no augmentation, no projection head.

    One input is given as it is, several in the order of `input_names` or by name. The inputs are raw: what the data set
    did to them on their way into a batch (`core/table` standardises) is a part of this module.

    Args:
        inputs: what `forward` takes.
        transforms: what is done to raw inputs first, by their names.
        views: the views before the encoder.
        encoder: gives the table whose field z, (n, d), is returned.
        description: what a file must say for another process to build this again.
        fitted: what the data kept, from which the transforms were made.

    Raises:
        ContrastError: if inputs are missing, unknown or differ in their number of items.
    """

    def __init__(
        self,
        inputs: Sequence[Input],
        transforms: Mapping[str, nn.Module],
        views: Mapping[str, View],
        encoder: Encoder,
        description: Mapping[str, Any],
        fitted: Mapping[str, Tensor],
    ):
        super().__init__()
        self.inputs = tuple(inputs)
        self.transforms = nn.ModuleDict(dict(transforms))
        self.views = nn.ModuleDict(dict(views))
        self.encoder = encoder
        self.description, self.fitted = dict(description), dict(fitted)
        self.eval()

    @property
    def input_names(self) -> tuple[str, ...]:
        """Names of the inputs, in the order in which `forward` takes them."""
        return tuple(each.name for each in self.inputs)

    @property
    def size(self) -> int:
        """The embedding's dimension d."""
        return int(self.description["embedding"]["size"])

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        """The embedding (n, d) of n items."""
        given = {**dict(zip(self.input_names, inputs, strict=False)), **named}
        if len(inputs) + len(named) != len(self.inputs) or set(given) != set(self.input_names):
            raise ContrastError(
                f"This encoder takes {' and '.join(self.input_names)}, not {len(inputs)} input(s) without a name and "
                f"{', '.join(named) or 'none'} by name."
            )
        counts = {name: value.shape[0] if isinstance(value, Tensor) else len(value) for name, value in given.items()}
        n = counts[self.input_names[0]]
        for name, count in counts.items():
            if count != n:
                raise ContrastError(f"The inputs differ: {self.input_names[0]} has {n} items, {name} {count}.")
        tensor = next((value for value in [*given.values(), *self.parameters()] if isinstance(value, Tensor)), None)
        flow = {name: self.transforms[name](x) if name in self.transforms else x for name, x in given.items()}
        # Encoders name the rows of their tables by it, and nothing else is told by the number of an item here.
        flow["sample"] = torch.arange(n, device=None if tensor is None else tensor.device)
        for view in self.views.values():
            flow.update(view(flow))
        encoder: Encoder = self.encoder
        return encoder.embed(flow).z
