"""Memory that is used again from call to call: on many systems fresh pages cost more than the arithmetic on them.

A finished pass leaves its memory here for the next one, up to `KEPT_BYTES` in all; it never changes a result.
"""

from __future__ import annotations

import threading

import torch
from torch import Tensor

KEPT_BYTES = 40 * 2**20
"""Memory for finished tiles, which the backward pass then need not compute again; also what stays between calls."""

_free: list[Tensor] = []
_lock = threading.Lock()


class Lease:
    """A flat piece of memory that goes back when nobody holds the lease any more."""

    def __init__(self, like: Tensor, size: int):
        self.memory = _taken(like, size)

    def __del__(self) -> None:
        memory = self.__dict__.pop("memory", None)
        if memory is None:
            return
        with _lock:
            _free.append(memory)
            # The largest are the most useful, and one of each size is enough.
            _free.sort(key=lambda held: -held.nbytes)
            total = 0
            for place, held in enumerate(_free):
                total += held.nbytes
                if total > KEPT_BYTES + 2**23:
                    del _free[place:]
                    break


def _taken(like: Tensor, size: int) -> Tensor:
    with _lock:
        fitting = [k for k, held in enumerate(_free) if _fits(held, like, size)]
        if fitting:
            # The list is sorted, so the last that fits is the smallest.
            return _free.pop(fitting[-1])
    return like.new_empty(size)


def _fits(held: Tensor, like: Tensor, size: int) -> bool:
    # Memory made under inference_mode must not meet autograd.
    return (
        held.dtype == like.dtype
        and held.device == like.device
        and len(held) >= size
        and held.is_inference() == torch.is_inference_mode_enabled()
    )
