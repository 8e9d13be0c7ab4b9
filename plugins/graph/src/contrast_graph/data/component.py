"""The data component: one heterogeneous graph from whichever place the settings name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from contrast_core.interfaces import Data, Flow, Split
from contrast_graph.data.hetero import NodeGraph, load_heterodata
from contrast_graph.data.library import library_graph
from contrast_graph.data.published import load_published


@final
class Nodes(Data):
    """A heterogeneous graph whose target nodes are to be embedded; a batch is always the whole graph.

    Gives `graph` (a NodeGraph around a torch-geometric HeteroData) and `sample` (N,). Labels, -1 where unknown, are for
    evaluators alone; no batch holds them.

    Args:
        path: None: the graph of functions, callees and parameters in the installed scientific libraries' source.
            A folder: the public ACM/DBLP/IMDB/AMiner layout. A file: a HeteroData saved with torch.save.
        required: refuse to run without a path (for recipes whose settings belong to one data set).
        target: for a file, the node type to embed.
        metapaths: for a file, name -> node types from the target back to it, {"PAP": ["paper", "author", "paper"]}.
        missing_features: "svd" makes a stand-in for a target type without features (AMiner), "error" refuses.
        per_class: for a file without masks, labels a class of the training splits that are drawn.
        seed: of drawn splits.

    Raises:
        ValueError: by `load`, in one sentence, if a file is missing, damaged or does not fit.
    """

    gives = ("graph", "sample", "embedding.label")
    whole = True

    def __init__(
        self,
        path: Path | None = None,
        required: bool = False,
        target: str | None = None,
        metapaths: Mapping[str, Sequence[str]] | None = None,
        missing_features: Literal["error", "svd"] = "error",
        per_class: Sequence[int] = (20, 40, 60),
        seed: int = 0,
    ):
        if required and path is None:
            raise ValueError(
                "this recipe's settings belong to one data set: give its folder with --set data.path=FOLDER."
            )
        self.path, self.target, self.metapaths = path, target, metapaths
        self.missing_features, self.per_class, self.seed = missing_features, per_class, seed
        self._graph: NodeGraph | None = None

    def load(self) -> None:
        """Read or build the graph."""
        if self.path is None:
            self._graph = library_graph()
        elif self.path.is_dir():
            self._graph = load_published(self.path, missing_features=self.missing_features, seed=self.seed)
        elif self.target is None or not self.metapaths:
            what = f"the file {self.path}" if self.path.exists() else f"{self.path}, which does not exist,"
            raise ValueError(
                f"{what} is no folder in the public layout; for a HeteroData file also set data.target and "
                "data.metapaths."
            )
        else:
            self._graph = load_heterodata(
                self.path, self.target, self.metapaths, per_class=tuple(self.per_class), seed=self.seed
            )

    @property
    def graph(self) -> NodeGraph:
        """The loaded graph.

        Raises:
            ValueError: if `load` was not called.
        """
        if self._graph is None:
            raise ValueError("The graph is not loaded yet: call load() first.")
        return self._graph

    def __len__(self) -> int:
        return len(self.graph.y)

    def batch(self, items: Tensor) -> Flow:
        """The whole graph, whatever items are asked for."""
        return {"graph": self.graph, "sample": torch.arange(len(self))}

    @property
    def labels(self) -> Tensor:
        """Classes of the target nodes, -1 where unknown."""
        return self.graph.y

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes."""
        return self.graph.classes or ()

    @property
    def names(self) -> Sequence[str]:
        """Names of the target nodes."""
        return self.graph.names or ()

    @property
    def splits(self) -> Mapping[str, Split]:
        """Train, validation and test nodes by the number of labels a class."""
        return self.graph.splits

    @property
    def source(self) -> str:
        """What the graph is and where it comes from."""
        return " ".join([self.graph.source, *self.graph.notes])
