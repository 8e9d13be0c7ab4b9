"""Interactions as an atomic file of RecBole, so that its models see the data that ours see."""

from __future__ import annotations

from pathlib import Path

from contrast_recommendation.data.sequences import Sequences


def write_atomic(sequences: Sequences, folder: Path, name: str) -> Path:
    """Write `folder/name/name.inter` and return its path; RecBole reads it with data_path=folder, dataset=name.

    The time of an interaction is its place in the user's sequence, from 0. RecBole keeps times as float32, in which
    seconds since 1970 are 64 apart, and orders by them; places stay exact up to 2^24.

    Raises:
        ValueError: if a user's or item's name has a tab or a line break in it.
    """
    for kind, names in (("user", sequences.users), ("item", sequences.names)):
        bad = next((each for each in names if not {"\t", "\n", "\r"}.isdisjoint(each)), None)
        if bad is not None:
            raise ValueError(
                f"The {kind} {bad!r} can't be written to an atomic file: its name has a tab or line break."
            )
    lines = ["user_id:token\titem_id:token\ttimestamp:float"]
    items, starts = sequences.items.tolist(), sequences.starts.tolist()
    for user, begin, end in zip(sequences.users, starts, starts[1:], strict=False):
        lines += [f"{user}\t{sequences.names[item - 1]}\t{place}" for place, item in enumerate(items[begin:end])]
    path = folder / name / f"{name}.inter"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
