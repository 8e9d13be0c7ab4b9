"""CPU seconds and peak memory of MEOW and AdaMEOW here, against the algorithm of the authors' code, in one run.

    python plugins/graph/benchmarks/speed.py [FOLDER]

FOLDER is ACM in the public layout; without it a graph of ACM's size is drawn (4,019 papers, 7,167 authors, 60 subjects,
1,902 words). Every number comes from a process of its own with one thread; memory is the growth of the peak over what
the process held before the views were loaded. Both sides get the same views, model, sizes and settings.

The authors' side is in dense.py, which says what of their algorithm it takes over; this side is the package as it is,
with the clusterings of its recipes: one start of few iterations an epoch, where the authors make 5 starts of 20.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from dense import Dense, adaptive_loss, in_float64
from torch import Tensor, nn
from torch.nn.functional import normalize

from contrast_core.embeddings import Embeddings
from contrast_core.interfaces import Outputs
from contrast_core.memories.clustered import Clusters
from contrast_core.objectives.infonce import DCL
from contrast_core.objectives.protonce import ProtoNCE
from contrast_core.pipeline import Pipeline, Weighted, total
from contrast_core.samplers.prototypes import Prototypes
from contrast_graph.data.published import load_published
from contrast_graph.encoder import MetapathEncoder
from contrast_graph.samplers import AdaptiveNegatives, WeightedNegatives
from contrast_graph.views import MetapathViews

TEMPERATURE, CLUSTERS, RATE, DROPOUT = 0.4, (100, 300), 7e-4, 0.2
N, SMALL = 4019, 1000
Measured = dict[str, float]


def drawn(folder: Path) -> None:
    """A random graph of ACM's size in its layout: two large subjects, few papers an author, 50 words a paper."""
    rng = np.random.default_rng(0)
    popular = rng.permutation(7167)[(7167 * rng.random(13500) ** 1.5).astype(int)]
    subjects = np.concatenate([np.zeros(1841), np.ones(811), rng.integers(2, 60, N - 2652)]).astype(int)
    ones = np.ones(13500)
    sp.save_npz(folder / "nei_a.npz", sp.coo_matrix((ones, (np.arange(13500) % N, popular)), shape=(N, 7167)))
    sp.save_npz(folder / "nei_s.npz", sp.coo_matrix((ones[:N], (rng.permutation(N), subjects)), shape=(N, 60)))
    words = (1902 * rng.random((N, 50)) ** 2).astype(int)
    bag = sp.coo_matrix((np.ones(words.size), (np.arange(N).repeat(50), words.ravel())), shape=(N, 1902))
    sp.save_npz(folder / "p_feat.npz", bag.tocsr())
    np.save(folder / "labels.npy", np.arange(N) % 3)
    for part, start in (("train", 0), ("val", 60), ("test", 1060)):
        np.save(folder / f"{part}_20.npy", np.arange(start, start + (60 if part == "train" else 1000)))


def peak() -> float:
    """The largest resident set so far, in GB."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e9


def timed(action: Callable[[], Any], repeats: int) -> float:
    """CPU seconds of one call, the median over calls after a first one that is not counted."""
    action()
    seconds = []
    for _ in range(repeats):
        start = time.process_time()
        action()
        seconds.append(time.process_time() - start)
    return float(np.median(seconds))


def clusters() -> Clusters:
    """The memory of MEOW's recipes."""
    return Clusters("fine", CLUSTERS, temperature=TEMPERATURE, measure="similarity", smoothing=5)


def prototypes() -> Prototypes:
    """The sampler of MEOW's recipes."""
    return Prototypes("coarse", "clusters", "prototypes", assigned="fine")


def ours(views: dict[str, Any]) -> Measured:
    """An epoch of this package: forward, clusters, loss, gradients, update."""
    memory = clusters()
    pipeline = Pipeline(
        {},
        MetapathEncoder(dropout=DROPOUT),
        {},
        {"clusters": memory},
        {"nodes": WeightedNegatives(), "prototypes": prototypes()},
        {
            "contrast": Weighted(DCL(temperature=TEMPERATURE), 1.0),
            "prototypes": Weighted(ProtoNCE("prototypes"), 1.0),
        },
    )
    pipeline.prepare(views)
    optimiser = torch.optim.Adam(pipeline.parameters(), RATE)

    def epoch() -> None:
        optimiser.zero_grad()
        total(pipeline.terms(pipeline(views))).backward()
        optimiser.step()

    seconds = timed(epoch, 5)
    rows = pipeline.encoder(views)["fine"].detach()
    return {"epoch": seconds, "k-means": timed(lambda: memory.write(rows), 5)}


def authors(views: dict[str, Any]) -> Measured:
    """An epoch of the authors' algorithm."""
    side = Dense(views, DROPOUT, TEMPERATURE, CLUSTERS)
    optimiser = torch.optim.Adam(side.model.parameters(), RATE)

    def epoch() -> None:
        optimiser.zero_grad()
        a, b = side.rows()
        side.loss(a, b, side.clusters(b)).backward()
        optimiser.step()

    seconds, memory = timed(epoch, 3), peak()
    rows = side.rows()[1].detach()
    return {"epoch": seconds, "peak": memory, "k-means": timed(lambda: side.clusters(rows), 1), **difference(views)}


def adaptive(n: int, dense: bool) -> Measured:
    """AdaMEOW's loss and its gradients for random unit rows."""
    z = normalize(torch.randn(2, n, 64, generator=torch.Generator().manual_seed(0)), dim=2).requires_grad_()
    flow = {name: Embeddings.of(rows, sample=torch.arange(n)) for name, rows in zip(("fine", "coarse"), z, strict=True)}
    sampler, objective = AdaptiveNegatives(), DCL(temperature=1.0)
    sampler.prepare(flow)
    network = nn.Sequential(sampler.network.rows, nn.Tanh(), sampler.network.pairs, nn.Sigmoid())

    def step() -> Tensor:
        if dense:
            return adaptive_loss(z[0], z[1], network)
        value: Tensor = objective(Outputs(flow, sampler(flow), {})).value
        return value

    return {"epoch": timed(lambda: step().backward(), 3), "loss": float(step().detach())}


def difference(views: dict[str, Any]) -> Measured:
    """How far both sides are apart without dropout, from equal weights and clusters, relative to the largest entry."""
    torch.set_default_dtype(torch.float64)
    views = {name: view if name == "sample" else in_float64(view) for name, view in views.items()}
    side, model = Dense(views, 0.0, TEMPERATURE, CLUSTERS), MetapathEncoder(dropout=0.0)
    model.prepare(views)
    model.load_state_dict(side.model.state_dict())
    flow: dict[str, Any] = dict(model(views))
    flow["clusters"] = memory = clusters()
    memory.prepare(flow)
    memory.write(flow["fine"])
    outputs = Outputs(flow, {**WeightedNegatives()(flow), **prototypes()(flow)}, {})
    mine = DCL(temperature=TEMPERATURE)(outputs).value + ProtoNCE("prototypes")(outputs).value
    theirs = side.loss(*side.rows(), [memory.get_buffer(f"centroids_{m}") for m in range(len(CLUSTERS))])
    pairs = [(mine.detach(), theirs.detach())]
    (mine + theirs).backward()
    pairs += [(x.grad, y.grad) for x, y in zip(model.parameters(), side.model.parameters(), strict=True)]
    return {"apart": max(float((x - y).abs().max() / y.abs().max()) for x, y in pairs)}


def worker(task: str, place: Path) -> Measured:
    """One measurement in this process."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    _warm_up()
    before = peak()
    if task == "prepare":
        graph = load_published(place / "acm" if (place / "acm").exists() else Path(os.environ["SPEED_FOLDER"]), "acm")
        start = time.process_time()
        view = MetapathViews([110, 700], [0.3, 0.2], 0.3, aggregated=["author"])
        view.prepare({"graph": graph})
        found = {"epoch": time.process_time() - start}
        (place / "views.pickle").write_bytes(pickle.dumps({**view({}), "sample": torch.arange(len(graph.y))}))
    elif task.startswith("adaptive"):
        _, kind, n = task.split("-")
        found = adaptive(int(n), kind == "dense")
    else:
        # Written a moment ago by the task "prepare".
        views = pickle.loads((place / "views.pickle").read_bytes())
        found = {"ours": ours, "authors": authors}[task](views)
    return {**found, "memory": found.get("peak", peak()) - before}


def _warm_up() -> None:
    # Optimisers and checkpoints import much at their first use.
    for dense in (True, False):
        adaptive(64, dense)
    torch.optim.Adam([torch.zeros(1, requires_grad=True)])


def row(title: str, theirs: Measured, mine: Measured, note: str = "", keys: str = "epoch memory") -> str:
    """A line of the table; less than 10 MB is no measurement."""
    cells = []
    for key in keys.split():
        a, b = theirs[key], mine[key]
        small = key == "memory" and b < 0.01
        cells += [f"{a:.2f}{note}", "< 0.01" if small else f"{b:.2f}", f"> {a / 0.01:.0f}" if small else f"{a / b:.1f}"]
    return f"| {title} | {' | '.join(cells + [''] * (6 - len(cells)))} |"


def main() -> None:
    """Measure everything and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?", help="ACM in the public layout; drawn without it")
    parser.add_argument("--task", help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.task:
        print(json.dumps(worker(given.task, given.place)))
        return
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        if given.folder is None:
            (place / "acm").mkdir()
            drawn(place / "acm")
        else:
            environment["SPEED_FOLDER"] = str(given.folder.resolve())
        found = {}
        sizes = [f"adaptive-{kind}" for kind in (f"dense-{SMALL}", f"tiled-{SMALL}", f"tiled-{N}")]
        for task in ("prepare", "ours", "authors", *sizes):
            command = [sys.executable, __file__, "--task", task, "--place", folder]
            done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
            found[task] = json.loads(done.stdout)
            print(task, {k: round(v, 4) for k, v in found[task].items()}, file=sys.stderr, flush=True)
    dense, small, large = (found[name] for name in sizes)
    far = {key: value * (N / SMALL) ** 2 for key, value in dense.items()}
    print("| one thread | authors' algorithm, CPU s | here, CPU s | ratio | its peak, GB | peak here, GB | ratio |")
    print("|---|---|---|---|---|---|---|")
    print(row(f"MEOW, one epoch, N = {N:,}", found["authors"], found["ours"]))
    print(row("of it k-means", found["authors"], found["ours"], keys="k-means"))
    print(row(f"AdaMEOW, loss and gradients, N = {SMALL:,}", dense, small))
    print(row(f"AdaMEOW, loss and gradients, N = {N:,}", far, large, note=" (extrapolated)"))
    print(f"\nExtrapolated: measured at N = {SMALL:,} and multiplied by ({N:,} / {SMALL:,})^2, not run.")
    print(f"Views, once: {found['prepare']['epoch']:.1f} CPU s. Data: {'drawn' if given.folder is None else 'FOLDER'}.")
    apart = found["authors"]["apart"]
    print(f"Both sides of MEOW agree to {apart:.0e} in float64 (loss, and the gradient of every parameter).")


if __name__ == "__main__":
    main()
