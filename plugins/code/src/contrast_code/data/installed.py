"""The embedded default: functions of the standard library and of installed libraries with their docstrings."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import final

import numpy as np

from contrast_code.data.filters import Pair
from contrast_code.data.library import installed, library_pairs, licence
from contrast_code.data.pairs import CodePairs


@final
class InstalledLibraries(CodePairs):
    """The first paragraph of a docstring, and its function without it, from the source of what is installed here.

    Sources are Python's standard library and, as far as they are installed, networkx, numpy, pandas, scikit-learn,
    scipy and sympy, all under permissive licences; `source` names versions and licences. Kept are functions of three
    lines at least that are neither tests nor special methods, with 3 to 256 words of ASCII without an address, as in
    CodeSearchNet; of equal codes or queries the first. The pairs depend on the installed versions. They are built once
    (some 20 seconds) and kept in the cache folder.

    Args:
        libraries: whose source, of "python" and the names above; left out, all that are installed.
        limit: so many pairs at most, evenly over all, for a quick look.
        validation, test: share of the items in these parts; whole files go to a part.
        hidden_origins: libraries that are only searched: their items are not trained on, all others train or validate,
            which shows what is learned for code of other people.
        vocabulary, code_length, query_length, tokenizer, prefix, suffix, hide_names, language_power, split_seed: see
            `contrast_code.data.pairs.CodePairs`.

    Raises:
        ValueError: for shares that can't be, a library that is unknown or not installed, and as `CodePairs` does.
    """

    def __init__(
        self,
        libraries: Sequence[str] | None = None,
        limit: int | None = None,
        vocabulary: int = 8000,
        code_length: int = 128,
        query_length: int = 32,
        tokenizer: str | None = None,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        hide_names: bool = False,
        validation: float = 0.05,
        test: float = 0.1,
        hidden_origins: Sequence[str] = (),
        language_power: float = 0.7,
        split_seed: int = 0,
    ):
        super().__init__(
            vocabulary, code_length, query_length, tokenizer, prefix, suffix, hide_names, language_power, split_seed
        )
        if not (validation >= 0 and test >= 0 and validation + test < 1):
            raise ValueError(
                f"validation = {validation} and test = {test} must be at least 0 and leave some to train on."
            )
        if limit is not None and limit < 10:
            raise ValueError(f"limit = {limit} leaves too few pairs to train and test on.")
        self.libraries = None if libraries is None else tuple(libraries)
        self.limit, self.shares, self.hidden_origins = limit, (validation, test), tuple(hidden_origins)
        self._versions: dict[str, str] = {}

    def _read(self) -> Sequence[Pair]:
        self._versions = installed(self.libraries)
        found = library_pairs(self._versions)
        if self.limit is None or self.limit >= len(found):
            return found
        # Evenly over the sources, so that every library is there.
        return [found[int(place * len(found) / self.limit)] for place in range(self.limit)]

    def _parts_of(self, pairs: Sequence[Pair]) -> Sequence[str]:
        """By files in random order; hidden libraries are the test part."""
        files = Counter((pair.origin, pair.file) for pair in pairs)
        if missing := set(self.hidden_origins) - {origin for origin, _ in files}:
            raise ValueError(f"hidden_origins names {', '.join(sorted(missing))}, of which there is no pair.")
        where = {file: "test" for file in files if file[0] in self.hidden_origins}
        others = [file for file in files if file not in where]
        total, taken = sum(files[file] for file in others), 0
        validation = self.shares[0] * total
        last = validation + (0 if where else self.shares[1] * total)
        for place in np.random.default_rng(self.split_seed).permutation(len(others)):
            file = others[place]
            where[file] = "validation" if taken < validation else "test" if taken < last else "train"
            taken += files[file]
        return [where[pair.origin, pair.file] for pair in pairs]

    @property
    def source(self) -> str:
        """The libraries with versions and licences."""
        of = ", ".join(f"{name} {version} ({licence(name)})" for name, version in self._versions.items())
        return self.told_of(f"functions and docstrings of {of}")
