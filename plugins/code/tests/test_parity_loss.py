"""The loss, its gradients, the momentum encoders and the queues of the authors' code, over several steps."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch.testing import assert_close

from contrast_code.encoder import TokenEncoder
from contrast_code.sampler import Bimodal
from contrast_core.embeddings import Embeddings
from contrast_core.encoders.momentum import Momentum
from contrast_core.interfaces import Outputs
from contrast_core.memories.fifo import Queue
from contrast_core.objectives.infonce import InfoNCE
from contrast_core.objectives.over_pairs import OverPairs
from contrast_core.testing.golden import Case

QUEUES = {
    "code-queue": ("code-teacher", "masked_code"), "query-queue": ("query-teacher", "masked_nl"),
    "online-code-queue": ("code", "code"), "online-query-queue": ("query", "nl"),
}  # fmt: skip


@pytest.mark.parametrize("number", [0, 1, 2])
@pytest.mark.parametrize(("scale", "name"), [(1, "plain"), (20, "x20")])
def test_loss_gradients_momentum_and_queues(
    number: int, scale: int, name: str, golden: Callable[[str], list[Case]]
) -> None:
    """All to 1e-10, with the released queues of online outputs and the released factor of 20 as options."""
    case = golden("momentum_multimodal_loss")[number]
    told = case.meta["params"]
    encoder = _encoder(case)
    memories = {key: _queue(case, key) for key in QUEUES}
    sampler = Bimodal(
        online_code_queue="online-code-queue", online_query_queue="online-query-queue", intra=told["intra"]
    )
    contrast = OverPairs(InfoNCE(temperature=told["temperature"] / scale), sampler.gives)
    for step in range(told["steps"]):
        encoder.after_update()
        for view, ours in (("code", "code"), ("nl", "query")):
            assert_close(encoder.teacher.networks[ours].table.weight, case[f"out_table_{view}_k_{step}"])
        flow = _flow(case, step)
        tables = dict(encoder(flow))
        pairs = sampler({**flow, **tables, **memories})
        terms = contrast(Outputs(tables, pairs, flow))
        loss = sum(term.value for term in terms.values()) / len(terms)
        assert_close(loss, case[f"out_loss_{name}_{step}"], rtol=1e-10, atol=0)
        loss.backward()
        if (grad := case.get(f"grad_table_q_loss_{name}_{step}")) is not None:
            networks = encoder.encoder.networks
            found = networks["code"].table.weight.grad + networks["query"].table.weight.grad
            assert_close(found, grad, rtol=1e-10, atol=1e-12)
        encoder.zero_grad()
        for key, (source, theirs) in QUEUES.items():
            memories[key].write(tables[source].detach())
            assert_close(memories[key].rows, case[f"out_{theirs}_queue_{step}"].T, rtol=1e-10, atol=1e-12)


def test_there_are_gradients_among_the_cases(golden: Callable[[str], list[Case]]) -> None:
    """So that the comparison above is one."""
    assert all(any(key.startswith("grad_") for key in case) for case in golden("momentum_multimodal_loss"))


def _encoder(case: Case) -> Momentum:
    told = case.meta["params"]
    student = TokenEncoder(vocabulary=told["V"], size=told["D"], together=False)
    reads = {"code": "code-augmented", "query": "query-augmented"}
    encoder = Momentum(student, momentum=told["momentum"], reads=reads)
    encoder.prepare(_flow(case, 0))
    encoder.double()
    with torch.no_grad():
        for theirs, ours in (("code", "code"), ("nl", "query")):
            student.networks[ours].table.weight.copy_(case["in_table_q"])
            encoder.teacher.networks[ours].table.weight.copy_(case[f"in_table_{theirs}_k"])
    return encoder


def _queue(case: Case, key: str) -> Queue:
    told, (source, theirs) = case.meta["params"], QUEUES[key]
    queue = Queue(source, told["K"], told["D"], only_filled=False, columns=["group"]).double()
    queue.prepare({source: Embeddings.of(torch.zeros(1, told["D"]), group=torch.zeros(1, dtype=torch.int64))})
    queue.rows.copy_(case[f"in_{theirs}_queue"].T)
    return queue


def _flow(case: Case, step: int) -> dict[str, torch.Tensor]:
    told = case.meta["params"]
    ids = {
        "code": f"in_ids_code_q_{step}", "query": f"in_ids_nl_q_{step}",
        "code-augmented": f"in_ids_code_k_{step}", "query-augmented": f"in_ids_nl_k_{step}",
    }  # fmt: skip
    items = torch.arange(told["B"]) + step * told["B"]
    return {
        **{name: case[key].masked_fill(case[key] == told["pad_id"], -1) for name, key in ids.items()},
        "sample": items, "group": items,
    }  # fmt: skip
