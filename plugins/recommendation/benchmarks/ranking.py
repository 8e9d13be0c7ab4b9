"""Full ranking against RecBole's evaluator: the same embeddings, the same targets, both in one run.

    python plugins/recommendation/benchmarks/ranking.py [--users 4096] [--items 12101] [--size 64]

Random embeddings; CPU seconds of one thread from embeddings to metrics, the best of three, and the highest metric's
difference. RecBole's side is what its trainer does after the model: scores, top-k, a matrix of positives, metrics.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from contrast_core.evaluation.ranking import gains
from contrast_recommendation.ranks import target_ranks
from contrast_recommendation.recbole import repaired

K = (5, 10, 20)
BATCH = 4096
"""RecBole's default eval_batch_size, users at a time."""


def ours(users: Tensor, items: Tensor, targets: Tensor) -> dict[str, float]:
    """Metrics by ranks; row 0 of items is padding."""
    ranks = target_ranks(users, items[1:], targets - 1)
    names = {"HR": "hit", "NDCG": "ndcg", "MRR": "mrr"}
    return {f"{names[m]}@{k}": float(gains(ranks, m, k).mean()) for m in ("HR", "NDCG", "MRR") for k in K}


def theirs(users: Tensor, items: Tensor, targets: Tensor) -> dict[str, float]:
    """Metrics by RecBole's Collector and Evaluator; call it within `repaired()`."""
    from recbole.evaluator import Collector, Evaluator

    config = {
        "metrics": ["Hit", "NDCG", "MRR"],
        "topk": list(K),
        "device": torch.device("cpu"),
        "eval_args": {"mode": {"valid": "full", "test": "full"}},
        "metric_decimal_place": 10,
    }
    collector, evaluator = Collector(config), Evaluator(config)
    for rows, wanted in zip(users.split(BATCH), targets.split(BATCH), strict=True):
        scores = rows @ items.T
        scores[:, 0] = -torch.inf
        collector.eval_batch_collect(scores, None, torch.arange(len(rows)), wanted)
    return {name: float(value) for name, value in evaluator.evaluate(collector.get_data_struct()).items()}


def timed(
    work: Callable[[Tensor, Tensor, Tensor], dict[str, float]], *tables: Tensor
) -> tuple[float, dict[str, float]]:
    """CPU seconds, the best of three, and the metrics."""
    seconds = []
    for _ in range(3):
        began = time.process_time()
        found = work(*tables)
        seconds.append(time.process_time() - began)
    return min(seconds), found


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("users", 4096), ("items", 12101), ("size", 64)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(options.items + 1, options.size, generator=generator)
    targets = torch.randint(1, options.items + 1, (options.users,), generator=generator)
    # Users near their targets, so that ranks are of all sizes.
    users = items[targets] + 4 * torch.randn(options.users, options.size, generator=generator)
    mine, found = timed(ours, users, items, targets)
    with repaired():
        other, expected = timed(theirs, users, items, targets)
    apart = max(abs(found[name] - expected[name]) for name in expected)
    print(f"{options.users} users x {options.items} items, {options.size} numbers each, one thread\n")
    print("| full ranking | CPU s | hit@10 | ndcg@10 | mrr@10 |\n|---|---|---|---|---|")
    for title, seconds, values in (("contrast", mine, found), ("RecBole", other, expected)):
        print(
            f"| {title} | {seconds:.2f} | "
            + " | ".join(f"{values[f'{m}@10']:.4f}" for m in ("hit", "ndcg", "mrr"))
            + " |"
        )
    print(f"\nRecBole takes {other / mine:.1f} times as long; the metrics differ by at most {apart:.1e}.")


if __name__ == "__main__":
    main()
