"""Soft data augmentation: a few tokens of code or query masked, or replaced by the name of their type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, final

import torch
from attrs import frozen
from torch import Tensor

from contrast_core.interfaces import Flow, View

Operator = Literal["mask", "replace", "replace-type", "mask-type"]
OPERATORS: tuple[Operator, ...] = ("mask", "replace", "replace-type", "mask-type")


@final
@frozen(eq=False)
class Draws:
    """The random choices for one batch of rows; each (B, L), and what is left out is not needed.

    Args:
        candidate: bool, the tokens chosen at the ratio; those that may not be touched are ignored.
        replaced: bool, which candidates are replaced; left out, all.
        random: bool, which of those that are not replaced become a random word.
        words: int64, those words.
    """

    candidate: Tensor
    replaced: Tensor | None = None
    random: Tensor | None = None
    words: Tensor | None = None


def augmented(ids: Tensor, instead: Tensor | int, ordinary: Tensor, draws: Draws) -> Tensor:
    """The ids with candidates exchanged, (B, L) int64:

        x~_i = instead_i  if ordinary_i, candidate_i and replaced_i
        x~_i = words_i    if ordinary_i, candidate_i, not replaced_i and random_i
        x~_i = x_i        otherwise

    Args:
        ids: (B, L); instead: the mask's id, or the id of each token's type (B, L); ordinary: (B, L) bool, what may be
            touched.
        draws: the random choices.
    """
    chosen = ordinary & draws.candidate
    replaced = chosen if draws.replaced is None else chosen & draws.replaced
    made = torch.where(replaced, torch.as_tensor(instead, dtype=ids.dtype, device=ids.device), ids)
    if draws.random is not None and draws.words is not None:
        made = torch.where(chosen & ~replaced & draws.random, draws.words, made)
    return made


@final
class SoftAugmentation(View):
    """Code and query with a few tokens exchanged: x~ = o(x), one operator o drawn for each batch.

        mask            dynamic masking: a token becomes the mask with probability `ratio`
        replace         dynamic replacement: it becomes the name of its type
        replace-type    as `replace`, among the tokens of one type that is drawn for the batch
        mask-type       as `mask`, among the tokens of one type

    Never touched are padding and what belongs to the row and not to the text (of UniXcoder's rows, the first three
    tokens). Queries have no types: they are masked. In evaluation mode nothing is exchanged.

    Takes `code` and `query` (B, L) int64 with `code_kinds` and `query_kinds` (B, L), the id of each token's type, of a
    query the mask's, and -1 where a token may not be touched; `mask` and `vocabulary` (), the mask's id and
    how many there are. Gives `code-augmented` and `query-augmented`.

    Args:
        ratio: the probability that a token is a candidate.
        operators: which operators of code there are.
        order: "random" draws one for each batch; "round" takes them in turn, beginning with the second, so that with
            all four the step s = 1, 2, ... has operator s mod 4, as in the authors' code.
        replaced: the share of candidates that are exchanged; the authors' code has 0.8.
        random_words: whether half of the candidates that are not exchanged by a mask become a random word (BERT's rule,
            with replaced = 0.8 the shares 80, 10 and 10 %), as in the authors' code.
        queries: "always" masks them in each batch, "with-code" in those where code is masked too, as the authors' code.
        types: "leaves" are those of the syntax tree; "ids" are the token's own ids, as in the released pre-training
            loop, where `replace` and the operators on one type therefore change nothing, or almost nothing.

    Raises:
        ValueError: for a ratio or share outside of [0, 1], no operator or one twice.

    Paper: Shi et al., CoCoSoDa, ICSE 2023, arXiv 2204.03293. Its type is drawn among all types of all languages, most
    of which a batch does not have; here among those that the batch has.
    """

    gives = ("code-augmented", "query-augmented")
    needs = ("code", "code_kinds", "query", "query_kinds", "mask", "vocabulary")
    steps: Tensor

    def __init__(
        self,
        ratio: float = 0.15,
        operators: Sequence[Operator] = OPERATORS,
        order: Literal["random", "round"] = "random",
        replaced: float = 1.0,
        random_words: bool = False,
        queries: Literal["always", "with-code"] = "always",
        types: Literal["leaves", "ids"] = "leaves",
    ):
        super().__init__()
        for name, value in (("ratio", ratio), ("replaced", replaced)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} = {value} must be from 0 to 1.")
        if not operators or len(set(operators)) < len(operators) or not set(operators) <= set(OPERATORS):
            raise ValueError(f"operators must be some of {', '.join(OPERATORS)}, none twice, not {list(operators)}.")
        self.ratio, self.operators, self.order, self.replaced = ratio, tuple(operators), order, replaced
        self.random_words, self.queries, self.types = random_words, queries, types
        self.register_buffer("steps", torch.tensor(0))

    def forward(self, flow: Flow) -> Mapping[str, Tensor]:
        """The augmented rows."""
        if not self.training:
            return {"code-augmented": flow["code"], "query-augmented": flow["query"]}
        self.steps.add_(1)
        if self.order == "round":
            operator = self.operators[int(self.steps) % len(self.operators)]
        else:
            operator = self.operators[int(torch.randint(len(self.operators), ()))]
        masked = self.queries == "always" or operator == "mask"
        return {
            "code-augmented": self.exchanged(operator, flow, "code"),
            "query-augmented": self.exchanged("mask", flow, "query") if masked else flow["query"],
        }

    def exchanged(
        self, operator: Operator, flow: Flow, name: str, draws: Draws | None = None, kind: int | None = None
    ) -> Tensor:
        """One operator on the rows of one name, (B, L).

        Args:
            operator: which one; flow: see the class; name: "code" or "query".
            draws: the random choices; left out, they are drawn.
            kind: the id of the one type, for the operators that have one; left out, it is drawn.
        """
        ids = flow[name]
        ordinary = flow[f"{name}_kinds"] >= 0
        kinds = flow[f"{name}_kinds"] if self.types == "leaves" else ids
        if operator.endswith("-type"):
            chosen = self._kind(flow[f"{name}_kinds"][ordinary]) if kind is None else kind
            ordinary = ordinary & (kinds == chosen)
        by_mask = operator.startswith("mask")
        # The released code masks by BERT's rule alone where any token is masked.
        made = self.drawn(ids, flow, operator == "mask") if draws is None else draws
        instead = flow["mask"] if by_mask else kinds
        if operator == "replace-type" and self.types == "ids":
            instead = ids
        return augmented(ids, instead, ordinary, made)

    def drawn(self, ids: Tensor, flow: Flow, words: bool) -> Draws:
        """Random choices for rows of ids."""
        candidate = torch.rand(ids.shape, device=ids.device) < self.ratio
        replaced = None if self.replaced == 1 else torch.rand(ids.shape, device=ids.device) < self.replaced
        if not (words and self.random_words):
            return Draws(candidate, replaced)
        random = torch.rand(ids.shape, device=ids.device) < 0.5
        return Draws(candidate, replaced, random, torch.randint(int(flow["vocabulary"]), ids.shape, device=ids.device))

    @staticmethod
    def _kind(kinds: Tensor) -> int:
        """One of the types that are there, each as likely; -1 if there is none."""
        there = kinds.unique()
        return int(there[torch.randint(len(there), ())]) if len(there) else -1
