"""What data of queries and code have in common: tokens, splits, batches."""

from __future__ import annotations

from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from contrast_code.data.filters import Pair
from contrast_code.languages import LANGUAGES
from contrast_code.rows import Rows
from contrast_code.tokens import KEY, Tokens, of_model, trained
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
        validation, test: share of the items in these parts, if the source has no parts of its own; whole files go to
            a part.
        hidden_origins: libraries or repositories that are only searched: their items are not trained on, all others
            train or validate, which shows what is learned for code of other people.
        language_power: with several languages, a batch is of one, drawn with probability proportional to the number of
            its items to this power.
        split_seed: of the split, and of the order of the items.

    Raises:
        ValueError: for shares or lengths that can't be; when loading, if nothing is left to train on or to test.

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
        validation: float,
        test: float,
        hidden_origins: Sequence[str],
        language_power: float,
        split_seed: int,
    ):
        if not (validation >= 0 and test >= 0 and validation + test < 1):
            raise ValueError(
                f"validation = {validation} and test = {test} must be at least 0 and leave some to train on."
            )
        if vocabulary < 300:
            raise ValueError(f"vocabulary = {vocabulary} must be at least 300: the bytes alone are 256.")
        self.vocabulary, self.tokenizer, self.hide_names = vocabulary, tokenizer, hide_names
        self.lengths: Mapping[str, int] = {"code_length": code_length, "query_length": query_length}
        self.prefix, self.suffix = tuple(prefix), tuple(suffix)
        self.shares = validation, test
        self.hidden_origins, self.language_power, self.split_seed = tuple(hidden_origins), language_power, split_seed
        self.pairs: Sequence[Pair] = ()
        self.tokens: Tokens
        self._code: Rows
        self._query: Rows
        self._parts: dict[str, Tensor] = {}
        self._names: Sequence[str] = ()
        self._group = self._language = self._asked = torch.empty(0, dtype=torch.int64)

    @abstractmethod
    def _read(self) -> Sequence[Pair]:
        """All pairs, in an order that is always the same."""

    def load(self) -> None:
        """Read, split, learn the tokens and make rows of them."""
        found = self._read()
        order = np.random.default_rng(self.split_seed).permutation(len(found))
        # Pools of candidates are consecutive items: neighbours in a file would make them too alike.
        self.pairs = [found[place] for place in order]
        self._parts = self._split()
        for part in ("train", "test"):
            if len(self._parts[part]) < 2:
                raise ValueError(
                    f"There are {len(self._parts[part])} pairs to {part} on, of {len(found)} in all: too few."
                )
        self._group = torch.from_numpy(groups(self.pairs))
        self._language = torch.tensor([LANGUAGES.index(pair.language) for pair in self.pairs])
        self._asked = torch.tensor([int(bool(pair.query)) for pair in self.pairs])
        self._names = [f"{pair.name} ({pair.file})" for pair in self.pairs]
        self._tokenise(None)

    def _tokenise(self, tokens: Tokens | None) -> None:
        codes = [pair.code.without(pair.name) if self.hide_names else pair.code for pair in self.pairs]
        queries = [pair.query for pair in self.pairs]
        if tokens is None and self.tokenizer is not None:
            tokens = of_model(self.tokenizer, self.prefix, self.suffix, **self.lengths)
        elif tokens is None:
            training = self._parts["train"].tolist()
            learned = [codes[item] for item in training]
            tokens = trained(learned, [queries[item] for item in training], self.vocabulary, **self.lengths)
        self.tokens = tokens
        self._code, self._query = tokens.snippet_rows(codes), tokens.query_rows(queries)

    def _split(self) -> dict[str, Tensor]:
        """The items of each part: as the source says, by hidden origins, or by files."""
        parts = ["train"] * len(self.pairs)
        generator = np.random.default_rng(self.split_seed)
        if any(pair.part for pair in self.pairs):
            parts = [pair.part or "train" for pair in self.pairs]
        else:
            files = Counter((pair.origin, pair.file) for pair in self.pairs)
            hidden = {origin for origin, _ in files if origin in self.hidden_origins}
            if missing := set(self.hidden_origins) - hidden:
                raise ValueError(f"hidden_origins names {', '.join(sorted(missing))}, of which there is no pair.")
            validation, test = self.shares
            limits = [("validation", validation), *([] if hidden else [("test", test)])]
            where = {file: "test" for file in files if file[0] in hidden}
            open_files = [file for file in files if file not in where]
            total, taken, left = sum(files[file] for file in open_files), 0, list(limits)
            due = 0.0
            for place in generator.permutation(len(open_files)):
                file = open_files[place]
                while left and taken >= due + left[0][1] * total:
                    due += left.pop(0)[1] * total
                if not left:
                    break
                where[file] = left[0][0]
                taken += files[file]
            parts = [where.get((pair.origin, pair.file), "train") for pair in self.pairs]
        named = np.array(parts)
        return {part: torch.from_numpy(np.flatnonzero(named == part)) for part in PARTS}

    def __len__(self) -> int:
        return len(self.pairs)

    def batch(self, items: Tensor) -> Flow:
        """The items' rows."""
        chosen = items.numpy()
        rows = {
            "code": self._code.ids, "code_kinds": self._code.kinds, "query": self._query.ids,
            "query_kinds": self._query.kinds,
        }  # fmt: skip
        return {
            **{name: torch.from_numpy(ragged.padded(chosen)) for name, ragged in rows.items()},
            "mask": torch.tensor(self.tokens.mask),
            "vocabulary": torch.tensor(self.tokens.size),
            "sample": items,
            "group": self._group[items],
            "asked": self._asked[items],
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
        return self._query.ids.counted(items.numpy(), self.tokens.size), self._code.ids.counted(
            items.numpy(), self.tokens.size
        )

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
        """Make rows by the tokens of another run.

        Raises:
            ValueError: if that run was of other data, or its tokens are damaged.
        """
        if KEY not in fitted:
            raise ValueError("The run holds no tokens: it was made with data that are no pairs of query and code.")
        self._tokenise(Tokens.loaded(fitted[KEY].numpy().tobytes()))

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
