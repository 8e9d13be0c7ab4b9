"""What both objectives do with numbers before a library sees them."""

import math

import torch


def at_least_float32(rows: torch.Tensor) -> torch.Tensor:
    """Half precision becomes float32; float32 and float64 stay what they are."""
    return rows.float() if rows.dtype in (torch.float16, torch.bfloat16) else rows


def finite(name: str, value: float, low: float = -math.inf, high: float = math.inf) -> float:
    """The value, if it is finite and lies in [low, high].

    Raises:
        ValueError: else; the sentence names the argument.
    """
    if not (math.isfinite(value) and low <= value <= high):
        limits = f"from {low:g} to {high:g}" if math.isfinite(high) else "finite"
        raise ValueError(f"{name} = {value} must be {limits}.")
    return value
