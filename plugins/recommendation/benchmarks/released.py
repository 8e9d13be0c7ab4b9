"""Rank all items of Amazon Beauty for all users with the encoder that the authors of MCLRec trained.

Nothing is trained: data, encoder, split and metrics must together give the numbers of the paper.

    python plugins/recommendation/benchmarks/released.py amazon_beauty.txt beauty_mclrec_encoder_fp16.npz [--ranks FILE]

The two files: github.com/QinHsiu/MCLRec (MIT), dataset/Amazon_Beauty/Amazon_Beauty.txt, and the tensors of
log/Checkpoint/Amazon_Beauty/model.pth as `w__NAME` in a NumPy file. FILE holds known ranks: `in_user` (line numbers
from 0), `out_test_rank`, `out_valid_rank`.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch

from contrast_core.embeddings import Embeddings
from contrast_core.evaluation.ranking import gains
from contrast_recommendation.data.component import Interactions
from contrast_recommendation.ranking import FullRanking
from contrast_recommendation.weights import encoder_of, read_state

PUBLISHED = {"HR@5": ".0581", "HR@10": ".0871", "HR@20": ".1243", "NDCG@5": ".0352", "NDCG@10": ".0446",
             "NDCG@20": ".0539"}  # fmt: skip
"""Table 2 of the paper, test users."""
BATCH = 1024
USERS, RANK = 16, 50
"""Of the small case: how many users, and the worst rank of their held-out items."""


def write_slice(path: Path, known: Path, weights: Path, data: Interactions, tables: dict[str, Embeddings]) -> None:
    """Users whose held-out items rank high, with all items that they have or that score as high as those."""
    with np.load(known) as file:
        source = json.loads(str(file["meta"]))["source"]
        user, ranks = file["in_user"], {part: file[f"out_{part}_rank"] for part in ("test", "valid")}
    some = np.flatnonzero((ranks["test"] <= RANK) & (ranks["valid"] <= RANK))[:USERS]
    found, split = data.sequences, data.splits["leave-one-out"]
    own = [found.items[found.starts[u] : found.starts[u + 1]] for u in user[some]]
    z, items = tables["embedding"].z, tables["items"].z[1:]
    rows = torch.cat([part[torch.from_numpy(user[some])] for part in (split.val, split.test)]) - len(split.train)
    scores = z[rows] @ items.T
    held = torch.from_numpy(np.array([s[-2] for s in own] + [s[-1] for s in own]))
    competing = (scores >= scores.gather(1, held[:, None] - 1)).any(0).nonzero().squeeze(1) + 1
    kept = np.unique(np.concatenate([competing.numpy(), *own]))
    with np.load(weights) as file:
        arrays = {name: file[name] for name in file.files if name.startswith("w__")}
    table = "w__item_embedding.weight"
    arrays[table] = arrays[table][np.concatenate([[0], kept, [len(arrays[table]) - 1]])]
    note = "Sequences of some users end to end; items that score below these users' held-out items are left out."
    np.savez_compressed(
        path,
        meta=json.dumps({"system": "mclrec", "function": "released", "source": source, "note": note}),
        in_items=np.concatenate(own),
        in_lengths=[len(sequence) for sequence in own],
        in_known=kept,
        **{f"out_{part}_rank": found[some] for part, found in ranks.items()},
        **arrays,
    )


def main() -> None:
    """Print the metrics, the CPU seconds of each part, and how the ranks compare with known ones."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("interactions", type=Path)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--ranks", type=Path)
    parser.add_argument("--slice", type=Path, help="write the small case of the tests, of some of the known ranks")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    began = time.process_time()
    data = Interactions(options.interactions)
    data.load()
    loaded = time.process_time()
    encoder = encoder_of(read_state(options.weights))
    wanted = data.evaluation_items
    with torch.no_grad():
        z = torch.cat([encoder.embed(data.batch(some)).z for some in wanted.split(BATCH)])
    weight = encoder.item_embedding.weight.detach()
    tables = {
        "embedding": Embeddings.of(z, sample=wanted),
        "items": Embeddings.of(weight, sample=torch.arange(len(weight))),
    }
    encoded = time.process_time()
    ranks = FullRanking().ranks(tables, data)
    ranked = time.process_time()
    print(data.source)
    names = [f"{metric}@{k}" for metric in ("HR", "NDCG", "MRR") for k in (5, 10, 20)]
    print("\n|  | " + " | ".join(names) + " |\n|---" * 1 + "|---" * len(names) + "|")
    for part, found in ranks.items():
        values = (gains(found, metric, k).mean() for metric in ("HR", "NDCG", "MRR") for k in (5, 10, 20))
        print(f"| {part} | " + " | ".join(f"{float(value):.4f}" for value in values) + " |")
    print("| paper, test | " + " | ".join(PUBLISHED.get(name, "") for name in names) + " |")
    print(
        f"\nCPU seconds: reading {loaded - began:.2f}, encoding {len(wanted)} histories {encoded - loaded:.2f}, "
        f"ranking {len(wanted)} x {len(data.sequences.names)} {ranked - encoded:.2f}; {options.threads} thread(s)."
    )
    if options.ranks and options.slice:
        write_slice(options.slice, options.ranks, options.weights, data, tables)
    elif options.ranks:
        with np.load(options.ranks) as known:
            user = torch.from_numpy(known["in_user"])
            for part in ("test", "valid"):
                expected = torch.from_numpy(known[f"out_{part}_rank"])
                apart = (ranks[part][user] - expected).abs()
                near = expected <= 100
                print(
                    f"{part}: of {len(user)} known ranks {int((apart == 0).sum())} are the same, of the "
                    f"{int(near.sum())} up to 100 {int((apart[near] == 0).sum())}; the largest "
                    f"difference is {int(apart.max())}."
                )


if __name__ == "__main__":
    main()
