"""ProxyAnchorLoss of pytorch-metric-learning, with proxies that a run trains and saves."""

from collections.abc import Sequence
from importlib import import_module
from typing import final

import torch
from contrast_core import ContrastError, Objective, Outputs, Term
from contrast_core.interfaces import Flow
from torch.func import functional_call

from contrast_borrowed.numbers import at_least_float32, finite


def library():
    """The module of losses.

    Raises:
        ContrastError: if the library is not installed.
    """
    try:
        return import_module("pytorch_metric_learning.losses")
    except ModuleNotFoundError as missing:
        raise ContrastError(
            f"borrowed/proxy-anchor needs the module '{missing.name}', which is not installed: "
            "pip install 'contrast-borrowed[proxies]'."
        ) from missing


@final
class ProxyAnchor(Objective):
    """ProxyAnchorLoss of pytorch-metric-learning: rows are drawn to their class's proxy and pushed from the others.

    L = mean_{c with rows} log(1 + sum_{i of c} exp(-a (s_ic - m)))
        + mean_c log(1 + sum_{i not of c} exp(a (s_ic + m)))
    with s_ic = cos(z_i, proxy_c), a = alpha and m = margin. The rows (n, d) of all tables are taken together; rows
    with label -1 are left out and counted as dropped. Proxies (classes, d) are parameters: trained, and saved with
    a run; d is that of the first batch.

    Args:
        classes: number of classes; labels are 0 ... classes - 1, or -1.
        tables: names of the tables, each with a column `label`.
        margin: m.
        alpha: a, at least 0.

    Raises:
        ContrastError: if pytorch-metric-learning is not installed.
        ValueError: if a number is out of its range, no table is named, or a label is not among the classes.

    Paper: Kim et al., Proxy Anchor Loss for Deep Metric Learning, CVPR 2020, arXiv 2003.13911.
    """

    def __init__(
        self, classes: int, tables: Sequence[str] = ("embedding",), margin: float = 0.1, alpha: float = 32.0
    ):
        super().__init__()
        if classes < 2:
            raise ValueError(f"classes = {classes} must be at least 2.")
        if not tables:
            raise ValueError("tables must name at least one table.")
        self.classes, self.tables = classes, tuple(tables)
        self.margin, self.alpha = finite("margin", margin, -2, 2), finite("alpha", alpha, 0, 1e6)
        self.needs = (*self.tables, *(f"{table}.label" for table in self.tables))
        self.make = library().ProxyAnchorLoss
        self.loss: torch.nn.Module | None = None

    def prepare(self, flow: Flow) -> None:
        """Make the proxies, as long as a row."""
        size = flow[self.tables[0]].z.shape[1]
        self.loss = self.make(num_classes=self.classes, embedding_size=size, margin=self.margin, alpha=self.alpha)

    def forward(self, outputs: Outputs) -> Term:
        """The loss of all labelled rows."""
        if self.loss is None:
            raise ValueError("The proxies are not made yet: call prepare with tables first.")
        tables = [outputs.tables[name] for name in self.tables]
        rows = at_least_float32(torch.cat([table.z for table in tables]))
        labels = torch.cat([table["label"] for table in tables])
        known = labels != -1
        count = int(known.sum())
        proxies = self.loss.proxies.to(rows)
        if count == 0:
            return Term(rows.sum() * 0 + proxies.sum() * 0, rows=0, dropped=len(rows))
        low, high = int(labels[known].min()), int(labels.max())
        if low < 0 or high >= self.classes:
            raise ValueError(f"Labels go from {low} to {high}, but classes = {self.classes}: they must be below it.")
        # The library would turn the parameter itself into the type of the rows; a copy keeps it as it is.
        with torch.autocast(rows.device.type, enabled=False):
            value = functional_call(self.loss, {"proxies": proxies}, (rows[known], labels[known]))
        return Term(value, rows=count, dropped=len(rows) - count)
