"""The pairs of CoCoSoDa: code and query against each other and against their momentum copies, with queues."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from contrast_core.embeddings import cat
from contrast_core.interfaces import Flow, Memory, PairSampler
from contrast_core.pairs import Pairs
from contrast_core.relations import same, where


@final
class Bimodal(PairSampler):
    """Six pairs of tables; positive = the same sample, negatives = the batch's others and a queue.

        name                  anchors    keys               queue of
        code-query            code       query              queries
        code-query-teacher    code       augmented query    augmented queries
        query-code            query      code               code
        query-code-teacher    query      augmented code     augmented code
        code-code-teacher     code       augmented code     augmented code
        query-query-teacher   query      augmented query    augmented queries

    The first four are between the modalities, the last two within one and left out without `intra`. Augmented keys come
    from the momentum encoder, without gradient; the others from the encoder itself, with gradient. Candidates are the
    keys, then the queue. A candidate of the anchor's own `group`, which has the same code or query, is no negative.

    Args:
        code, query: the encoder's tables, with columns `sample` and `group`.
        code_queue, query_queue: memories of the momentum encoder's augmented tables, with both columns.
        online_code_queue, online_query_queue: memories of the encoder's own outputs, for the pairs of whose keys they
            are, as in the authors' code; left out, these pairs take the queues of augmented outputs, which drift less.
        intra: whether there are the last two.
        in_batch: whether the batch's other keys are negatives beside the queue's. In the paper's equations they are
            not, in the authors' code they are.
        suffix: what the encoder adds to a table's name for the momentum encoder's.

    Raises:
        ValueError: in use, if a queue holds fewer rows than a batch.

    Paper: Shi et al., CoCoSoDa, ICSE 2023, arXiv 2204.03293, equations 5 to 8. Neither paper nor code knows of groups.
    """

    def __init__(
        self,
        code: str = "code",
        query: str = "query",
        code_queue: str = "code-queue",
        query_queue: str = "query-queue",
        online_code_queue: str | None = None,
        online_query_queue: str | None = None,
        intra: bool = True,
        in_batch: bool = True,
        suffix: str = "-teacher",
    ):
        super().__init__()
        code_teacher, query_teacher = code + suffix, query + suffix
        couples = [
            (code, query, online_query_queue or query_queue),
            (code, query_teacher, query_queue),
            (query, code, online_code_queue or code_queue),
            (query, code_teacher, code_queue),
        ]
        if intra:
            couples += [(code, code_teacher, code_queue), (query, query_teacher, query_queue)]
        self.couples, self.in_batch = couples, in_batch
        self.queues = tuple(dict.fromkeys(queue for _, _, queue in couples))
        tables = (code, query, code_teacher, query_teacher)
        columns = (f"{table}.{column}" for table in tables for column in ("sample", "group"))
        self.needs = (*tables, *columns, *self.queues)
        self.gives = tuple(f"{anchors}-{keys}" for anchors, keys, _ in couples)

    def prepare(self, flow: Flow) -> None:
        """Refuse queues that are shorter than a batch."""
        batch = len(flow[self.couples[0][0]])
        for name in self.queues:
            memory: Memory = flow[name]
            size = getattr(memory, "size", batch)
            if size < batch:
                raise ValueError(
                    f"The queue '{name}' holds {size} rows, fewer than a batch of {batch}: each step would overwrite "
                    f"all of it. Set memory.{name}.size to several times training.batch_size."
                )

    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """The pairs by name."""
        remembered = {name: flow[name].read().with_columns(source="memory") for name in self.queues}
        found = {}
        others = ~same("sample") & ~same("group")
        others = others if self.in_batch else others & where("source", "memory")
        for anchors, keys, queue in self.couples:
            batch = flow[keys].with_columns(source="batch")
            candidates = cat([batch, remembered[queue]]) if len(remembered[queue]) else batch
            own = same("sample") & where("source", "batch")
            found[f"{anchors}-{keys}"] = Pairs(flow[anchors], candidates, own, others)
        return found
