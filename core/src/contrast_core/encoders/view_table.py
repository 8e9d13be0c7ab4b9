"""The table of an encoded view: what encoders of several views have in common."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow


def view_table(z: Tensor, flow: Flow, view: str) -> Embeddings:
    """Rows z (B, d) of a view, with the columns `sample` and `label`, as far as the batch has them, and `view`."""
    known = {name: torch.as_tensor(flow[name]) for name in ("sample", "label") if name in flow}
    return Embeddings.of(z, **known).with_columns(view=view)


def given_by(views: Sequence[str]) -> tuple[str, ...]:
    """What an encoder gives that makes such a table of each view, under the view's name."""
    return tuple(name for v in views for name in (v, f"{v}.z", f"{v}.sample", f"{v}.view", f"{v}.label"))


def check_views(views: Sequence[str]) -> None:
    """Raise ValueError unless there is a view, and none twice."""
    if not views or len(set(views)) < len(views):
        raise ValueError(f"views must hold at least one name and none twice, not {list(views)}.")
