"""Numbers and durations as people read them, and where an axis has its ticks."""

from __future__ import annotations

import math
from datetime import datetime
from itertools import pairwise


def short(value: float) -> str:
    """About three figures: 0.012, 4.56, 78.9, 1,234; exponents only where nothing else is legible."""
    if not math.isfinite(value):
        return "–" if math.isnan(value) else ("∞" if value > 0 else "−∞")
    size = abs(value)
    if size >= 1e7 or 0 < size < 1e-5:
        mantissa, _, exponent = f"{value:.1e}".partition("e")
        return _minus(f"{mantissa}e{int(exponent)}")
    if 0 < size < 0.1:
        return _minus(f"{value:.{1 - math.floor(math.log10(size))}f}")
    decimals = 0 if size >= 100 or value == int(value) else 1 if size >= 10 else 2 if size >= 1 else 3
    return _minus(f"{value:,.{decimals}f}")


def fixed(value: float, decimals: int) -> str:
    """With the same number of decimals in every row of a table."""
    return _minus(f"{value:,.{decimals}f}") if math.isfinite(value) else short(value)


def duration(seconds: float) -> str:
    """48.2 s, 3 min 20 s, 2 h 5 min."""
    if math.isnan(seconds):
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def moment(text: str) -> str:
    """An ISO time as 5 March 2026, 14:24 UTC; other text as it is."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{at.day} {at:%B %Y, %H:%M} {at.tzname() or ''}".strip()


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` + 1 round numbers (1, 2 or 5 times a power of ten apart) from low to high."""
    if not high > low:
        return [low]
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    return [round(k * step, 12) for k in range(first, last + 1)] if step > 1e-9 else [low, high]


def decades(low: float, high: float, most: int = 5) -> list[float]:
    """Powers of ten from low to high (both above 0), at most about `most`; round numbers if there is none."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    if last - first < 1:
        return [m * 10.0**k for k in (first - 1, first) for m in (1, 2, 5) if low <= m * 10.0**k <= high]
    every = math.ceil((last - first + 1) / most)
    return [10.0**k for k in range(first, last + 1, every)]


def tick_text(value: float, others: list[float]) -> str:
    """A tick's label: as many decimals as the steps between ticks need, 10k and 2M for large ones."""
    if value == 0:
        return "0"
    step = min((b - a for a, b in pairwise(others)), default=abs(value))
    if max(map(abs, others)) >= 1e4:
        for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
            if step >= size or abs(value) >= 10 * size:
                return _minus(f"{value / size:g}{letter}")
    if step < 1e-5:
        return _minus(f"{value:.1e}".replace("e-0", "e-"))
    return _minus(f"{value:.{max(0, math.ceil(-math.log10(step) - 1e-9))}f}")


def _minus(text: str) -> str:
    return text.replace("-", "−") if text.startswith("-") else text.replace("e-", "e−")
