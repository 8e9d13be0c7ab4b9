"""The embedded default: functions of the standard library and of installed libraries with their docstrings."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

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
        vocabulary, code_length, query_length, tokenizer, prefix, suffix, hide_names, validation, test, hidden_origins,
            language_power, split_seed: see `contrast_code.data.pairs.CodePairs`; an origin is a library.

    Raises:
        ValueError: for a library that is unknown or not installed, and as `CodePairs` does.
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
            vocabulary, code_length, query_length, tokenizer, prefix, suffix, hide_names, validation, test,
            hidden_origins, language_power, split_seed,
        )  # fmt: skip
        if limit is not None and limit < 10:
            raise ValueError(f"limit = {limit} leaves too few pairs to train and test on.")
        self.libraries = None if libraries is None else tuple(libraries)
        self.limit = limit
        self._versions: dict[str, str] = {}

    def _read(self) -> Sequence[Pair]:
        self._versions = installed(self.libraries)
        found = library_pairs(self._versions)
        if self.limit is None or self.limit >= len(found):
            return found
        # Evenly over the sources, so that every library is there.
        return [found[int(place * len(found) / self.limit)] for place in range(self.limit)]

    @property
    def source(self) -> str:
        """The libraries with versions and licences."""
        of = ", ".join(f"{name} {version} ({licence(name)})" for name, version in self._versions.items())
        return self.told_of(f"functions and docstrings of {of}")
