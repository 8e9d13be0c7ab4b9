"""Trained sequence encoders of others: of the authors of MCLRec, and of RecBole's SASRec."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from contrast_recommendation.encoder import SASRec

ITEMS, POSITIONS = "item_embedding.weight", "position_embedding.weight"


def read_state(path: Path, prefix: str = "w__") -> dict[str, Tensor]:
    """The arrays of a `.npz` file whose names begin with a prefix, without it, as float32 (float64 stays).

    Raises:
        ValueError: if the file can't be read or has no such array; nothing pickled is ever loaded.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name.removeprefix(prefix): file[name] for name in file.files if name.startswith(prefix)}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else " ".join(str(error).split())
        raise ValueError(f"{path} can't be read as a NumPy file: {reason.rstrip('.')}.") from error
    if not arrays:
        raise ValueError(f"{path} has no array whose name begins with '{prefix}'.")
    return {name: torch.from_numpy(a if a.dtype == np.float64 else a.astype(np.float32)) for name, a in arrays.items()}


def encoder_of(state: Mapping[str, Tensor], heads: int = 2, spare_rows: int = 1) -> SASRec:
    """An encoder, in evaluation mode, with the weights of a state dict; sizes are those of its tensors.

    Args:
        state: names as in RecBole's SASRec, which the authors of MCLRec keep. Others are ignored.
        heads: attention heads, which shapes do not tell.
        spare_rows: rows at the end of the item table that belong to no item: 1 in MCLRec, 0 in RecBole's SASRec.

    Raises:
        ValueError: if a tensor is missing or its shape does not fit the others.
    """
    for name in (ITEMS, POSITIONS, "trm_encoder.layer.0.feed_forward.dense_1.weight"):
        if name not in state:
            raise ValueError(
                f"The weights of a sequence encoder must hold '{name}'; there are {', '.join(state)[:200]}."
            )
    table = state[ITEMS][: len(state[ITEMS]) - spare_rows]
    inner, size = state["trm_encoder.layer.0.feed_forward.dense_1.weight"].shape
    layers = len({name.split(".")[2] for name in state if name.startswith("trm_encoder.layer.")})
    encoder = SASRec(views=(), size=size, heads=heads, layers=layers, inner=inner)
    places = torch.zeros(1, len(state[POSITIONS]), dtype=torch.int64)
    encoder.prepare({"items": torch.tensor(len(table) - 1), "item_seq": places})
    own = encoder.state_dict()
    if missing := sorted(own.keys() - state.keys()):
        raise ValueError(f"The weights of the sequence encoder lack '{missing[0]}'.")
    taken = {name: table if name == ITEMS else state[name] for name in own}
    for name, tensor in taken.items():
        if tensor.shape != own[name].shape:
            raise ValueError(f"The weight '{name}' must be {tuple(own[name].shape)}, not {tuple(tensor.shape)}.")
    encoder.to(table.dtype).load_state_dict(taken)
    return encoder.eval()
