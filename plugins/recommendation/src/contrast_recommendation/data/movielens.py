"""The default data: MovieLens 100K, which lies in the installed package recbole."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ABOUT = (
    "MovieLens 100K, 100,000 ratings of 1,682 films by 943 people, collected by GroupLens at the University of "
    "Minnesota (Harper and Konstan, The MovieLens Datasets, ACM TiiS 2015), as it lies in the package recbole. Its "
    "licence allows research; it forbids commercial use and redistribution without permission and asks to be cited."
)
"""What it is and what its README allows."""


def movielens() -> Path:
    """Where ml-100k.inter is, found without importing recbole.

    Raises:
        ValueError: if recbole is not installed or brings no such file.
    """
    spec = find_spec("recbole")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder, "dataset_example", "ml-100k", "ml-100k.inter")
        if path.is_file():
            return path
    raise ValueError(
        'The default data lie in the package recbole, where they are not found: pip install "recbole>=1.2,<1.3", or '
        "name a file of your own with data.path."
    )
