"""Batch enhancement: what a memory remembers of the neighbourhood joins the positives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings, cat
from contrast_core.interfaces import Flow, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import edges, same, where
from contrast_fewshot.memory import DyCE
from contrast_fewshot.published import PublishedDyCE


@final
class BatchEnhancement(PairSampler):
    """Each student row meets the teacher's other view of its image, and what that view resembles in the memory.

    Gives two kinds of pairs. `positives`: anchors are the predictions p (2B rows), candidates the teacher's rows (2B,
    no gradient) and the memory; the positives of p_i are the teacher's row t_i' of the other view and the k rows of the
    memory nearest to t_i' (`DyCE.nearest`). `others`: all student rows z with each other, negatives are rows of other
    images. All k + 1 positives count alike in an objective that averages them.

    Before the memory is ready (its `start`) there are no neighbours. Where both the anchors and the memory have labels,
    the anchors get two columns: `retrieved`, k, and `pure`, how many of these have the anchor's label.

    With `official_quirks` it is the authors' code: three memories (of the teacher, the predictions and the student),
    all `PublishedDyCE`, each append k rows to every row's view, without gradient. The j-th appended row of one table
    is the positive of the j-th of another, found by another memory. The student's own rows never meet the appended
    ones as positives; in `others` these are further negatives.

    Args:
        memory: the teacher's memory.
        neighbours: k; 0 for none.
        predicted, teacher, student: tables of 2B rows, two views of B images, with columns `sample` and `view`.
        positives, others: names of the pairs that are given.
        official_quirks: as published.
        memories: with quirks, those of the predictions and of the student.

    Raises:
        ValueError: if k is negative or the memories do not suit; in use, if the tables' views do not agree.

    Paper: Poulakakis-Daktylidis and Jamali-Rad, BECLR, ICLR 2024, arXiv 2402.02444.
    """

    def __init__(
        self,
        memory: str = "memory",
        neighbours: int = 3,
        predicted: str = "predicted",
        teacher: str = "teacher",
        student: str = "student",
        positives: str = "positives",
        others: str = "others",
        official_quirks: bool = False,
        memories: Sequence[str] = (),
    ):
        super().__init__()
        if neighbours < 0:
            raise ValueError(f"neighbours = {neighbours} must not be negative.")
        if len(memories) != (2 if official_quirks else 0):
            raise ValueError(
                "With official_quirks, memories names those of the predictions and of the student, for example "
                f'["memory-predicted", "memory-student"]; without, it stays empty. It is {list(memories)}.'
            )
        self.tables = (teacher, predicted, student)
        self.memories, self.neighbours = (memory, *memories), neighbours
        self.positives, self.others, self.official_quirks = positives, others, official_quirks
        self.needs = tuple(n for t in self.tables for n in (t, f"{t}.sample", f"{t}.view")) + self.memories
        self.gives = (positives, others)

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Both kinds of pairs."""
        teacher, predicted, student = (_by_view(name, flow[name]) for name in self.tables)
        _check_samples(self.tables, (teacher, predicted, student))
        kind = PublishedDyCE if self.official_quirks else DyCE
        memories = [flow[name] for name in self.memories]
        for name, memory in zip(self.memories, memories, strict=True):
            if not isinstance(memory, kind):
                wanted = "fewshot/published-dyce" if self.official_quirks else "fewshot/dyce"
                raise ValueError(
                    f"The memory '{name}' must be {wanted} where official_quirks is {self.official_quirks}."
                )
        teacher = teacher.detach()
        if self.official_quirks:
            return self._published(teacher, predicted, student, memories)
        return self._intended(teacher, predicted, student, memories[0])

    def _intended(
        self, teacher: Embeddings, predicted: Embeddings, student: Embeddings, memory: DyCE
    ) -> Mapping[str, Pairs]:
        candidates = teacher.with_columns(source="teacher")
        own = same("sample") & ~same("view")
        if self.neighbours and memory.ready(self.neighbours):
            remembered = memory.read()
            # The other view of row i is half of the table further on.
            found = memory.nearest(_swapped(teacher.z), self.neighbours)
            predicted = _with_purity(predicted, remembered, found)
            i = torch.arange(len(predicted), device=found.device).repeat_interleave(self.neighbours)
            retrieved = edges(i, len(teacher) + found.flatten())
            candidates = cat([candidates, remembered.with_columns(view=-1)])
            own = (own & where("source", "teacher")) | retrieved
        return {
            self.positives: Pairs(predicted, candidates, own, ~same("sample") & where("source", "teacher")),
            self.others: Pairs(student, student, same("sample") & ~same("view"), ~same("sample")),
        }

    def _published(
        self, teacher: Embeddings, predicted: Embeddings, student: Embeddings, memories: list[PublishedDyCE]
    ) -> Mapping[str, Pairs]:
        k = self.neighbours
        if not k or not memories[0].ready(k):
            z = [functional.normalize(table.z, dim=1) for table in (teacher, predicted, student)]
            tables = [_numbered(rows) for rows in z]
        else:
            parts = zip((teacher, predicted, student), memories, strict=True)
            tables = [_numbered(enhanced(table.z, memory, k)) for table, memory in parts]
            found = memories[0].neighbours(teacher.z, k)
            counted = _with_purity(teacher, memories[0].read(), found)
            if "pure" in counted:
                # Purity is the original rows'; appended ones retrieve nothing.
                rows = len(tables[1])
                at = torch.cat([torch.arange(len(found) // 2), rows // 2 + torch.arange(len(found) // 2)])
                for name in ("retrieved", "pure"):
                    column = torch.zeros(rows, dtype=torch.int64, device=found.device)
                    column[at.to(found.device)] = counted[name]
                    tables[1] = tables[1].with_columns(**{name: column})
        t, p, z_ = tables
        own, others = same("sample") & ~same("view"), ~same("sample")
        return {self.positives: Pairs(p, t, own, others), self.others: Pairs(z_, z_, own, others)}


def enhanced(rows: Tensor, memory: PublishedDyCE, k: int) -> Tensor:
    """[view 1: B unit rows, then the B k appended ones as they are remembered; view 2 likewise], (2 B (1 + k), d)."""
    unit = functional.normalize(rows, dim=1)
    appended, _ = memory.appended(rows, k)
    one, two = unit.chunk(2)
    return torch.cat([one, appended[0].to(unit), two, appended[1].to(unit)])


def _numbered(rows: Tensor) -> Embeddings:
    """Row j of one view belongs to row j of the other."""
    half = torch.arange(len(rows) // 2, device=rows.device)
    view = torch.arange(2, device=rows.device).repeat_interleave(len(half))
    return Embeddings.of(rows, sample=half.repeat(2), view=view)


def _swapped(rows: Tensor) -> Tensor:
    one, two = rows.chunk(2)
    return torch.cat([two, one])


def _with_purity(anchors: Embeddings, remembered: Embeddings, found: Tensor) -> Embeddings:
    if "label" not in anchors or "label" not in remembered:
        return anchors
    mine, theirs = anchors["label"], remembered["label"].to(found.device)[found]
    known = mine >= 0
    retrieved = torch.where(known, found.shape[1], 0)
    pure = torch.where(known, (theirs == mine[:, None]).sum(1), 0)
    return anchors.with_columns(retrieved=retrieved, pure=pure)


def _by_view(name: str, table: Embeddings) -> Embeddings:
    """One view and then the other, each in the order of its samples: row i + B is the other view of row i."""
    order = table["sample"].argsort(stable=True)
    order = order[table["view"][order].argsort(stable=True)]
    sample = table["sample"][order]
    if len(order) % 2 or not torch.equal(*sample.chunk(2)):
        raise ValueError(f"The table '{name}' must hold two views of every sample; fewshot/stack makes such a table.")
    return table.select(order)


def _check_samples(names: Sequence[str], tables: Sequence[Embeddings]) -> None:
    for name, table in zip(names, tables, strict=True):
        if not torch.equal(table["sample"], tables[0]["sample"]):
            raise ValueError(f"The tables '{names[0]}' and '{name}' must hold the same samples.")
