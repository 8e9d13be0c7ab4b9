"""Rows of one class meet rows of another as positives: the pairs of Hydra and SimLAP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where

Mode = Literal["arbitrary", "distinct", "identical"]


@final
class ClassPairs(PairSampler):
    """An anchor of class y1 gets a partner class y2: positives = rows of class y2; negatives = rows of neither.

    The partner stands in the anchors' column `partner`. Where something before has drawn it, for example to make a
    gate for the pair of classes, it is taken from there, otherwise it is drawn in each step, from torch's global
    generator, see `partner_classes`. A row of label -1 takes part in no pair, on either side.

    Args:
        anchors: name of the anchors' table, with a column `label`.
        candidates: name of the candidates' table, with a column `label`; if it is the anchors' own, no row meets
            itself.
        mode: how partners are drawn: "arbitrary", "distinct" or "identical".
        classes: how many classes there are, for "distinct".
        name: under which the pairs go on.

    Raises:
        ValueError: if "distinct" partners lack the number of classes, or there are fewer than three, of which the
            third would be the negatives.

    Paper: arXiv 2410.18200.
    """

    def __init__(
        self,
        anchors: str = "one",
        candidates: str = "two",
        mode: Mode = "arbitrary",
        classes: int | None = None,
        name: str = "pairs",
    ):
        super().__init__()
        if mode == "distinct" and classes is None:
            raise ValueError("Distinct partners are drawn among all classes: set classes to their number.")
        if classes is not None and classes < 3:
            raise ValueError(f"classes = {classes}: two classes make a pair, and a third one its negatives.")
        self.anchors, self.candidates, self.name = anchors, candidates, name
        self.mode, self.classes = mode, classes
        self.needs = (anchors, candidates, f"{anchors}.label", f"{candidates}.label")
        self.gives = (name,)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs of the anchors with all candidates."""
        anchors: Embeddings = flow[self.anchors]
        candidates: Embeddings = flow[self.candidates]
        if "partner" not in anchors:
            anchors = anchors.with_columns(partner=partner_classes(anchors["label"], self.mode, self.classes))
        # A candidate is the partner that it is by its class.
        candidates = candidates.with_columns(partner=candidates["label"])
        positives = same("partner", missing=-1)
        negatives = ~(same("partner") | same("label") | where("label", -1))
        if self.anchors == self.candidates:
            anchors, candidates = (table.with_columns(row=torch.arange(len(table))) for table in (anchors, candidates))
            positives = positives & ~same("row")
        return {self.name: Pairs(anchors, candidates, positives, negatives)}


def partner_classes(label: Tensor, mode: Mode = "arbitrary", classes: int | None = None) -> Tensor:
    """A partner class for each row's class, (n,); -1 for a row of label -1.

    "arbitrary" permutes the batch's classes, so that partners come as often as their classes and each is in the
    batch; "distinct" draws evenly from the other classes, of which some may be absent; "identical" is the own class.

    Raises:
        ValueError: if the mode is unknown, or for "distinct" there is no number of classes or a label above it.
    """
    known = (label != -1).nonzero().squeeze(1)
    own = label[known]
    if mode == "arbitrary":
        drawn = own[torch.randperm(len(own)).to(own.device)]
    elif mode == "distinct":
        if classes is None:
            raise ValueError("Distinct partners are drawn among all classes: give their number.")
        if len(own) and int(own.max()) >= classes:
            raise ValueError(f"Labels count from 0 to classes - 1, but with classes = {classes} one is {own.max()}.")
        drawn = (own + torch.randint(1, classes, own.shape).to(own.device)) % classes
    elif mode == "identical":
        drawn = own
    else:
        raise ValueError(f"Partners are 'arbitrary', 'distinct' or 'identical', not {mode!r}.")
    return torch.full_like(label, -1).index_copy(0, known, drawn)
