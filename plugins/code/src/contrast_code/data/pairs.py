"""What data of queries and code have in common: tokens, splits, batches."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrast_code.data.filters import Pair
from contrast_code.languages import LANGUAGES
from contrast_code.rows import Rows, Snippet
from contrast_code.tokens import KEY, Tokens, check_lengths, of_model, trained
from contrast_core.interfaces import Data, Flow, Split

PARTS = ("train", "validation", "test", "codebase")


class CodePairs(Data):
    """Pairs of a query and code, as rows of token ids.

    A batch of B items holds `code` and `query`, (B, L) int64 each with -1 behind shorter rows, and `code_kinds`,
    `query_kinds` of the same shapes (see `contrast_code.augmentation.SoftAugmentation`); `mask` and `vocabulary` (),
    the mask's id and how many there are; `sample`, `group` and `asked` (B,) int64: items of one group have the same
    code or the same query, and are no negatives of each other; an item that is not asked has no query, and is a
    candidate alone. With several languages there is a split for each, whose queries meet its own code.

    The BPE is learned from the training items, unless `tokenizer` names a model's.

    Args:
        vocabulary: most words of the BPE.
        code_length, query_length: most tokens of a row.
        tokenizer: a model's name on the Hugging Face hub, or a folder, whose tokens are used instead.
        prefix, suffix: with `tokenizer`, what each row begins and ends with.
        hide_names: whether the function's own name is taken out of its code.
        language_power: with several languages, a batch is of one, drawn with probability proportional to the number of
            its items to this power.
        split_seed: of the order of the items, and of a split that is drawn.

    Raises:
        ValueError: for lengths that can't be; when loading, if nothing is left to train on or to test.

    Paper: Shi et al., CoCoSoDa, ICSE 2023, arXiv 2204.03293; Husain et al., CodeSearchNet Challenge, arXiv 1909.09436.
    """

    gives = ("code", "code_kinds", "query", "query_kinds", "mask", "vocabulary", "sample", "group", "asked")

    def __init__(
        self,
        vocabulary: int,
        code_length: int,
        query_length: int,
        tokenizer: str | None,
        prefix: Sequence[str],
        suffix: Sequence[str],
        hide_names: bool,
        language_power: float,
        split_seed: int,
    ):
        if vocabulary < 300:
            raise ValueError(f"vocabulary = {vocabulary} must be at least 300: the bytes alone are 256.")
        check_lengths(len(prefix) + len(suffix), code_length, query_length)
        self.vocabulary, self.tokenizer, self.hide_names = vocabulary, tokenizer, hide_names
        self.lengths: Mapping[str, int] = {"code_length": code_length, "query_length": query_length}
        self.prefix, self.suffix = tuple(prefix), tuple(suffix)
        self.language_power, self.split_seed = language_power, split_seed
        self.pairs: Sequence[Pair] = ()
        self.group = self.asked = self._language = torch.empty(0, dtype=torch.int64)
        """`group` and `asked` of all items, (n,), as in a batch."""
        self._tokens: Tokens | None = None
        self._rows: tuple[Rows, Rows] | None = None
        self._parts: dict[str, Tensor] = {}
        self._names: Sequence[str] = ()

    @abstractmethod
    def _read(self) -> Sequence[Pair]:
        """All pairs, in an order that is always the same."""

    @abstractmethod
    def _parts_of(self, pairs: Sequence[Pair]) -> Sequence[str]:
        """The part of each pair, one of `PARTS`."""

    def load(self) -> None:
        """Read and split; tokens are learned, and rows made of them, when somebody needs them."""
        found = self._read()
        order = np.random.default_rng(self.split_seed).permutation(len(found))
        # Pools of candidates are consecutive items: neighbours in a file would make them too alike.
        self.pairs = [found[place] for place in order]
        named = np.array(self._parts_of(self.pairs))
        self._parts = {part: torch.from_numpy(np.flatnonzero(named == part)) for part in PARTS}
        for part in ("train", "test"):
            if len(self._parts[part]) < 2:
                raise ValueError(
                    f"There are {len(self._parts[part])} pairs to {part} on, of {len(found)} in all: too few."
                )
        self.group = torch.from_numpy(groups(self.pairs))
        self._language = torch.tensor([LANGUAGES.index(pair.language) for pair in self.pairs])
        self.asked = torch.tensor([int(bool(pair.query)) for pair in self.pairs])
        self._names = [f"{pair.name} ({pair.file})" for pair in self.pairs]
        self._rows = None
        model = self.tokenizer
        self._tokens = of_model(model, self.prefix, self.suffix, **self.lengths) if model is not None else None

    @property
    def tokens(self) -> Tokens:
        """The tokens: the model's, those of the run that was adopted, or learned from the training items."""
        if self._tokens is None:
            training = self._parts["train"].tolist()
            learned, queries = ([each[item] for item in training] for each in (self._codes(), self._queries()))
            self._tokens = trained(learned, queries, self.vocabulary, **self.lengths)
        return self._tokens

    def _codes(self) -> list[Snippet]:
        return [pair.code.without(pair.name) if self.hide_names else pair.code for pair in self.pairs]

    def _queries(self) -> list[str]:
        return [pair.query for pair in self.pairs]

    @property
    def rows(self) -> tuple[Rows, Rows]:
        """Rows of all codes and of all queries."""
        if self._rows is None:
            self._rows = self.tokens.snippet_rows(self._codes()), self.tokens.query_rows(self._queries())
        return self._rows

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, items: Tensor) -> Flow:
        """The items' rows."""
        chosen, (code, query) = items.numpy(), self.rows
        rows = {"code": code.ids, "code_kinds": code.kinds, "query": query.ids, "query_kinds": query.kinds}
        return {
            **{name: torch.from_numpy(ragged.padded(chosen)) for name, ragged in rows.items()},
            "mask": torch.tensor(self.tokens.mask),
            "vocabulary": torch.tensor(self.tokens.size),
            "sample": items,
            "group": self.group[items],
            "asked": self.asked[items],
        }

    @property
    def training_items(self) -> Tensor:
        """Those of the training part."""
        return self._parts["train"]

    @property
    def evaluation_items(self) -> Tensor:
        """Those of the validation and test parts, and what is searched besides."""
        return torch.cat([self._parts[part] for part in PARTS[1:]])

    def drawn(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor] | None:
        """With several languages, batches of one language each, p(language) ~ (number of its items)^language_power."""
        training = self.training_items
        languages, counts = self._language[training].unique(return_counts=True)
        if len(languages) < 2:
            return None
        own = [training[self._language[training] == language] for language in languages]
        number = max(1, len(training) // batch_size)
        chosen = torch.multinomial(
            counts.double() ** self.language_power, number, replacement=True, generator=generator
        )
        queues = [torch.empty(0, dtype=torch.int64) for _ in own]
        batches = []
        for language in chosen.tolist():
            size = min(batch_size, len(own[language]))
            while len(queues[language]) < size:
                more = own[language][torch.randperm(len(own[language]), generator=generator)]
                # An item comes once in a batch: what is left of the last round goes first, without its doubles.
                left = queues[language]
                queues[language] = torch.cat([left, more[~torch.isin(more, left)]])
            batches.append(queues[language][:size])
            queues[language] = queues[language][size:]
        return batches

    def words(self, items: Tensor) -> tuple[Any, Any]:
        """How often each token is in the items' queries and in their codes: sparse, (n, vocabulary) both."""
        code, query = (each.ids.counted(items.numpy(), self.tokens.size) for each in self.rows)
        return query, code

    @property
    def names(self) -> Sequence[str]:
        """The functions' names with their files."""
        return self._names

    @property
    def splits(self) -> Mapping[str, Split]:
        """One split, or one for each of several languages."""
        languages = self._language.unique().tolist()
        if len(languages) < 2:
            return {"all": self._split_of(torch.ones(len(self), dtype=torch.bool))}
        return {LANGUAGES[language]: self._split_of(self._language == language) for language in languages}

    def _split_of(self, mine: Tensor) -> Split:
        train, validation, test, codebase = (self._parts[part][mine[self._parts[part]]] for part in PARTS)
        return Split(train, validation, torch.cat([test, codebase]))

    def fitted(self) -> Mapping[str, Tensor]:
        """The tokens, as bytes of JSON."""
        return {KEY: torch.frombuffer(bytearray(self.tokens.dumped()), dtype=torch.uint8)}

    def adopt(self, fitted: Mapping[str, Tensor]) -> None:
        """Take the tokens of another run.

        Raises:
            ValueError: if that run was of other data, or its tokens are damaged.
        """
        if KEY not in fitted:
            raise ValueError("The run holds no tokens: it was made with data that are no pairs of query and code.")
        self._tokens, self._rows = Tokens.loaded(fitted[KEY].numpy().tobytes()), None

    def told_of(self, what: str) -> str:
        """What, with the number of pairs of each part."""
        counts = ", ".join(f"{len(items):,} {part}" for part, items in self._parts.items() if len(items))
        return f"{what}: {len(self):,} pairs ({counts})"


def groups(pairs: Sequence[Pair]) -> Any:
    """A number for each pair, (n,) int64: equal where code or query are, in lower case, or through others."""
    parent = list(range(len(pairs)))

    def root(item: int) -> int:
        while parent[item] != item:
            parent[item] = parent[parent[item]]
            item = parent[item]
        return item

    first: dict[tuple[str, str], int] = {}
    for item, pair in enumerate(pairs):
        for key in (("code", pair.code.text), *([("query", pair.query.lower())] if pair.query else [])):
            parent[root(item)] = root(first.setdefault(key, item))
    return np.array([root(item) for item in range(len(pairs))], np.int64)
