"""Code and queries as rows of token ids, each token of code with the type of the leaf that it was cut from.

Nothing here imports torch, so that a query can be tokenised at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Self, final

import numpy as np
from numpy.typing import NDArray
from safetensors import safe_open
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from contrast_code.languages import ALL_KINDS, Leaf
from contrast_code.rows import PADDING, Ragged, Rows, Snippet

MASK = "<mask>"
FITTED, KEY = "data.safetensors", "tokens"
"""Where a run folder keeps the tokens: an array of bytes of one JSON text."""
CHUNK = 4096
"""Texts that are tokenised at a time."""


@final
class Tokens:
    """A tokenizer with what makes rows of it: `prefix`, then a text's tokens, cut off, then `suffix`.

    Types have ids of their own beyond the vocabulary, unless `reused` names are words of it already.

    Args:
        tokenizer: of the library tokenizers.
        prefix, suffix: tokens that every row begins and ends with.
        code_length, query_length: most tokens of a row, with prefix and suffix.
        mask: the token of the mask.
        by_leaf: whether a leaf's tokens are the same whatever stands beside it, which makes it faster.
        reused: whether a type whose name is in the vocabulary has that word's id, as in the authors' code.

    Raises:
        ValueError: if a token is not in the vocabulary, or a length leaves no room for text.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        code_length: int = 128,
        query_length: int = 32,
        mask: str = MASK,
        reused: bool = False,
        by_leaf: bool = False,
    ):
        check_lengths(len(prefix) + len(suffix), code_length, query_length)
        self._settings = {
            "prefix": list(prefix),
            "suffix": list(suffix),
            "code_length": code_length,
            "query_length": query_length,
            "mask": mask,
            "reused": reused,
            "by_leaf": by_leaf,
        }
        # Truncation and padding are done here; and a text that spells a special token is a text.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        tokenizer.encode_special_tokens = True
        self._tokenizer = tokenizer
        self.code_length, self.query_length = code_length, query_length
        self.prefix, self.suffix = self._known(prefix), self._known(suffix)
        (self.mask,) = self._known([mask])
        self.kinds, self._by_leaf = self._kinds(reused), by_leaf
        self._frames = np.array(self.prefix, np.int32), np.array(self.suffix, np.int32)
        self.size = max(tokenizer.get_vocab_size(with_added_tokens=True), 1 + max(self.kinds))

    def _known(self, words: Sequence[str]) -> list[int]:
        found = []
        for word in words:
            number = self._tokenizer.token_to_id(word)
            if number is None:
                raise ValueError(f"The tokenizer has no token '{word}'; name the one that it has in its place.")
            found.append(number)
        return found

    def _kinds(self, reused: bool) -> list[int]:
        """The id of each type, in the order of `ALL_KINDS`."""
        free = self._tokenizer.get_vocab_size(with_added_tokens=True)
        found = []
        for kind in ALL_KINDS:
            own = self._tokenizer.token_to_id(kind) if reused else None
            found.append(free if own is None else own)
            free += own is None
        return found

    def code_rows(self, leaves: Iterable[Iterable[Leaf]]) -> Rows:
        """Rows of code, given the leaves of each."""
        return self.snippet_rows([Snippet.of(each) for each in leaves])

    def snippet_rows(self, snippets: Sequence[Snippet]) -> Rows:
        """Rows of code, given as snippets: a token's type is that of the leaf that it was cut from."""
        room = self.code_length - len(self.prefix) - len(self.suffix)
        names = np.array(self.kinds, np.int32)
        ids, kinds = [], []
        for start in range(0, len(snippets), CHUNK):
            some = snippets[start : start + CHUNK]
            if self._by_leaf:
                rows, leaf = self._leaf_by_leaf(some, room)
            else:
                rows, leaf = self._texts(some, room)
            for snippet, row, own in zip(some, rows, leaf, strict=True):
                ids.append(np.concatenate([self._frames[0], row, self._frames[1]]))
                kinds.append(self._framed(names[snippet.kinds[own]]))
        return Rows(Ragged.of(ids), Ragged.of(kinds))

    def _leaf_by_leaf(self, snippets: Sequence[Snippet], room: int) -> tuple[Any, Any]:
        """Each row's tokens and the leaf of each, where no token depends on its neighbours: each leaf is cut once."""
        # Each leaf has a token at least: what is behind the last one that has room need not be looked at.
        counts = np.array([min(len(snippet.ends), room) for snippet in snippets])
        places: dict[str, int] = {}
        which = np.array(
            [
                places.setdefault(word, len(places))
                for snippet, count in zip(snippets, counts, strict=True)
                for word in snippet.words(count)
            ],
            np.int64,
        )
        pieces = Ragged.of([found.ids for found in self._encoded(list(places))])
        lengths = (pieces.bounds[1:] - pieces.bounds[:-1])[which]
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        values = pieces.values[np.repeat(pieces.bounds[which], lengths) + within]
        number = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        leaf = np.repeat(number, lengths)
        ends = np.concatenate([[0], np.cumsum(lengths)])[np.concatenate([[0], np.cumsum(counts)])]
        spans = [slice(start, min(end, start + room)) for start, end in pairwise(ends)]
        return [values[span] for span in spans], [leaf[span] for span in spans]

    def _texts(self, snippets: Sequence[Snippet], room: int) -> tuple[Any, Any]:
        """The same from whole texts: a token belongs to the leaf that its last character is in."""
        texts = [each.text[: each.ends[room]] if len(each.ends) > room else each.text for each in snippets]
        rows, leaf = [], []
        for snippet, found in zip(snippets, self._encoded(texts), strict=True):
            last = np.array([end for _, end in found.offsets[:room]], np.int32) - 1
            rows.append(np.array(found.ids[:room], np.int32))
            leaf.append(np.minimum(np.searchsorted(snippet.ends, last, side="right"), max(len(snippet.kinds) - 1, 0)))
        return rows, leaf

    def query_rows(self, texts: Sequence[str]) -> Rows:
        """Rows of queries."""
        room = self.query_length - len(self.prefix) - len(self.suffix)
        ids, kinds = [], []
        for start in range(0, len(texts), CHUNK):
            for found in self._encoded(list(texts[start : start + CHUNK])):
                some = found.ids[:room]
                ids.append([*self.prefix, *some, *self.suffix])
                kinds.append(self._framed(np.full(len(some), self.mask, np.int32)))
        return Rows(Ragged.of(ids), Ragged.of(kinds))

    def _encoded(self, texts: list[str]) -> Any:
        return self._tokenizer.encode_batch(texts, add_special_tokens=False)

    def _framed(self, own: NDArray[np.int32]) -> NDArray[np.int32]:
        outside = [PADDING] * len(self.prefix), [PADDING] * len(self.suffix)
        return np.concatenate([np.array(outside[0], np.int32), own, np.array(outside[1], np.int32)])

    def text(self, ids: Iterable[int]) -> list[str]:
        """The tokens of some ids, for people; a type's name stands in angle brackets."""
        names = {number: f"<{kind}>" for kind, number in zip(ALL_KINDS, self.kinds, strict=True)}
        return [names.get(int(each)) or self._tokenizer.id_to_token(int(each)) or "?" for each in ids]

    def dumped(self) -> bytes:
        """All of it as one JSON text."""
        return json.dumps({"tokenizer": self._tokenizer.to_str(), "kinds": list(ALL_KINDS), **self._settings}).encode()

    @classmethod
    def loaded(cls, content: bytes) -> Self:
        """What `dumped` made.

        Raises:
            ValueError: if it is damaged, or was made by a version with other types of tokens.
        """
        try:
            told: dict[str, Any] = json.loads(content)
            tokenizer, kinds = Tokenizer.from_str(told.pop("tokenizer")), told.pop("kinds")
        except Exception as error:
            # tokenizers raises bare Exceptions.
            raise ValueError(f"The saved tokens are damaged ({error}): train again.") from error
        if kinds != list(ALL_KINDS):
            raise ValueError("The saved tokens have other types of leaves than this version: train again.")
        return cls(tokenizer, **told)

    @classmethod
    def of_run(cls, folder: Path) -> Self:
        """The tokens of a run, out of its folder.

        Raises:
            FileNotFoundError: if there are none; ValueError: if they are damaged.
        """
        with safe_open(str(folder / FITTED), "numpy") as file:
            if KEY not in file.keys():  # noqa: SIM118 - it is no mapping
                raise ValueError(f"{folder / FITTED} holds no tokens: this is no run of contrast-code.")
            return cls.loaded(file.get_tensor(KEY).tobytes())


def check_lengths(frame: int, code_length: int, query_length: int) -> None:
    """Refuse rows without room for text beside the `frame` tokens that each begins and ends with.

    Raises:
        ValueError: if a length is too small.
    """
    for name, length in (("code_length", code_length), ("query_length", query_length)):
        if length <= frame:
            raise ValueError(f"{name} = {length} leaves no room for text: a row has {frame} tokens besides.")


def trained(
    snippets: Sequence[Snippet], queries: Sequence[str], size: int, code_length: int, query_length: int
) -> Tokens:
    """Tokens with a BPE of at most `size` words, learned from code and queries.

    Names are split at underscores and changes of case, and everything is in lower case, so that `parseDate`,
    `parse_date` and "Parse date" are the same two words.
    """
    tokenizer = Tokenizer(models.BPE())
    within = Regex(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
    tokenizer.normalizer = normalizers.Sequence([normalizers.Replace(within, " "), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\s+"), "removed"),
            pre_tokenizers.Split(Regex(r"[^\W\d_]+|\d"), "isolated"),
            # Letters of any script, as their bytes: no character is unknown.
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        min_frequency=2,
        special_tokens=[MASK],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    texts = [snippet.text for snippet in snippets] + list(queries)
    tokenizer.train_from_iterator(texts, trainer, length=len(texts))
    return Tokens(tokenizer, code_length=code_length, query_length=query_length, by_leaf=True)


def of_model(name: str, prefix: Sequence[str], suffix: Sequence[str], code_length: int, query_length: int) -> Tokens:
    """The tokens of a model of transformers, by its name on the hub or its folder.

    Raises:
        ValueError: if there is no such tokenizer, it is not one of the library tokenizers, or has no mask.
    """
    from transformers import AutoTokenizer

    try:
        found = AutoTokenizer.from_pretrained(name)
        backend = found.backend_tokenizer
    except Exception as error:
        # Its many libraries have as many ways to fail.
        raise ValueError(f"The tokenizer of '{name}' can't be had: {' '.join(str(error).split())[:300]}") from error
    if found.mask_token is None:
        raise ValueError(f"The tokenizer of '{name}' has no mask, which augmentation needs.")
    return Tokens(
        backend,
        prefix=prefix,
        suffix=suffix,
        mask=found.mask_token,
        reused=True,
        code_length=code_length,
        query_length=query_length,
    )
