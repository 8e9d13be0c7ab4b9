"""The interfaces: what flows from a batch to a loss, and who does what on the way.

    batch --View--> views --Encoder--> embeddings --PairSampler--> pairs --Objective--> loss terms

Everything that flows has a name and travels in one mapping, the *flow*. A component says with `needs` which names it
reads and with `gives` which it adds; `name.column` stands for a column or field of a table. A recipe whose parts do
not fit is refused before any training. What a component needs to remember lives in buffers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from attrs import field, frozen
from torch import Tensor, nn

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure
from contrast_core.pairs import Pairs
from contrast_core.tasks import Task

if TYPE_CHECKING:
    from contrast_core.training.context import Context

Flow = Mapping[str, Any]


class Part(nn.Module, ABC):
    """What all components inside a pipeline share."""

    needs: Iterable[str] = ()
    """Names this part reads from the flow."""
    gives: Iterable[str] = ()
    """Names this part adds to the flow."""

    def prepare(self, flow: Flow) -> None:
        """Build what depends on the data (layer sizes, fixed masks); called once, before training, in order."""

    def after_update(self) -> None:
        """What happens after each optimiser step, for example a momentum update."""

    def after_task(self) -> None:
        """What happens when a task ends (see `contrast_core.tasks`), for example a copy of the model is kept."""


class View(Part):
    """From named inputs (or, after the encoder, tables of embeddings) to more named ones.

    In evaluation mode a view draws no random augmentation.
    """

    @abstractmethod
    def forward(self, flow: Flow) -> Flow:
        """The new names and their values."""


class Encoder(Part):
    """From named views to named tables of embeddings. How many networks that takes is its own affair."""

    embedding: str = "embedding"
    """Which of the tables is *the* embedding, for evaluation and export."""
    independent_rows: bool = True
    """Whether, in evaluation mode, an item's rows depend on that item alone; not so in a graph."""
    shared: Iterable[str] = ()
    """Tables that are the same whatever the batch, as one of items or of classes; all processes hold them whole."""

    @abstractmethod
    def forward(self, flow: Flow) -> Mapping[str, Embeddings]:
        """Tables by name."""

    def becomes_teacher(self) -> None:
        """What happens to a copy that will only teach: it may leave out what evaluation alone reads, for example."""

    def embed(self, flow: Flow) -> Embeddings:
        """The table that is evaluated and exported."""
        return self(flow)[self.embedding]  # type: ignore[no-any-return]


class Memory(Part):
    """State between steps: a queue, prototypes. Every bit of it lives in persistent buffers, pointers too.

    Args:
        source: the table whose rows are written.
        when: "before-pairs" writes the rows of a step before its pairs are formed, "after-update" after the
            optimiser's step, so that a step never sees its own rows.
    """

    def __init__(self, source: str, when: str):
        super().__init__()
        if when not in ("before-pairs", "after-update"):
            raise ValueError(f"A memory is written 'before-pairs' or 'after-update', not '{when}'.")
        self.source, self.when = source, when
        self.needs = (source,)

    @abstractmethod
    def write(self, rows: Embeddings) -> None:
        """Take rows, detached; the order of writing is the order of the rows."""

    @abstractmethod
    def read(self) -> Embeddings:
        """All rows that were written and not yet forgotten, with a column `source` that says what they are."""


class PairSampler(Part):
    """From named tables (and memories, under their names) to named pairs. May own parameters."""

    @abstractmethod
    def forward(self, flow: Flow) -> Mapping[str, Pairs]:
        """Pairs by name."""


@frozen(eq=False)
class Outputs:
    """What an objective sees: tables, pairs and the batch; never a model."""

    tables: Mapping[str, Embeddings]
    pairs: Mapping[str, Pairs]
    batch: Flow


@frozen(eq=False)
class Term:
    """One term of the loss.

    Args:
        value: a scalar, already averaged over the rows that count.
        rows: how many rows that was.
        dropped: how many rows had no positive (or nothing to be set against) and were left out.
        weight: the objective's own factor; the recipe's factor comes on top.
        scalars: further numbers worth logging.
    """

    value: Tensor
    rows: int
    dropped: int = 0
    weight: float = 1.0
    scalars: Mapping[str, float] = field(factory=dict)


class Objective(Part):
    """From outputs to loss terms. It never holds or calls a model, so that gradient caching, tiling and distribution
    work for every objective.
    """

    permutation_invariant: bool = True
    """Whether the order of a batch's items does not matter."""

    @abstractmethod
    def forward(self, outputs: Outputs) -> Term | Mapping[str, Term]:
        """One term, or several by name."""


class Step(ABC):
    """The training strategy of one batch; only unusual methods write their own."""

    @abstractmethod
    def run(self, context: Context, batch: Flow) -> Mapping[str, Term]:
        """Train on one batch and return the terms to log."""


@frozen(eq=False)
class Split:
    """Row numbers, int64, of the rows to train, to choose and to test a probe on."""

    train: Tensor
    val: Tensor
    test: Tensor


class Data(ABC):
    """A data set: items by number, facts about them, and splits for evaluation.

    `load` is called once before anything else; the constructor only takes the settings.
    """

    gives: Iterable[str] = ()
    """Names in a batch, and `embedding.label` if items have labels."""
    whole: bool = False
    """Whether a batch is always the whole set, as with a graph."""

    @abstractmethod
    def load(self) -> None:
        """Read or build the data; raises ContrastError or ValueError with one sentence if it can't be had."""

    @abstractmethod
    def __len__(self) -> int:
        """How many items there are."""

    @abstractmethod
    def batch(self, items: Tensor) -> Flow:
        """The named inputs of the items, collated; `sample` is their numbers."""

    @property
    def training_items(self) -> Tensor | None:
        """Numbers (int64) of the items that training draws; None means all."""
        return None

    def drawn(self, batch_size: int, generator: torch.Generator) -> Sequence[Tensor] | None:
        """Numbers (int64) of the items of each batch of an epoch, if these data draw them in a way of their own.

        None, the usual answer, means the training items in random order, cut into batches of `batch_size`. Other ways
        are batches of one language each, or of several items of each class. How many batches there are must not
        depend on the generator.
        """
        return None

    def told(self, batch: Flow) -> str:
        """A few words for the progress bar on where a batch lies in an order of the data's own, as "task 2/5"."""
        return ""

    @property
    def tasks(self) -> Sequence[Task]:
        """The tasks that these data come in, in order, if they bring any; a recipe uses them by core/given-tasks."""
        return ()

    @property
    def evaluation_items(self) -> Tensor | None:
        """Numbers (int64) of the items that are embedded for evaluation and export, in that order; None means all."""
        return None

    @property
    def labels(self) -> Tensor | None:
        """One class an item, int64, -1 where unknown; None if there are none."""
        return None

    @property
    def classes(self) -> Sequence[str]:
        """Names of the classes."""
        return ()

    @property
    def names(self) -> Sequence[str]:
        """A name an item, for people."""
        return ()

    @property
    def groups(self) -> Sequence[str]:
        """What each item belongs to beside its class (a site, a patient, an alphabet), "" where unknown; or nothing."""
        return ()

    @property
    def splits(self) -> Mapping[str, Split]:
        """Splits for evaluation by name."""
        return {}

    def fitted(self) -> Mapping[str, Tensor]:
        """What must be kept of these data to treat others alike (means, scales); saved with a run's model."""
        return {}

    def adopt(self, fitted: Mapping[str, Tensor]) -> None:  # noqa: B027 - most data sets keep nothing
        """Treat these data, already loaded, by what was kept of others; raises ValueError if it does not fit."""

    @classmethod
    def transforms(cls, fitted: Mapping[str, Tensor]) -> Mapping[str, nn.Module]:
        """Modules that do to raw inputs, by their names, what `fitted` says was done to those in the batches.

        An exported encoder begins with them; inputs that are in a batch as they came need none.
        """
        return {}

    @property
    def source(self) -> str:
        """What this is, where it comes from, its licence and version."""
        return ""


@frozen(eq=False)
class Score:
    """One line of the evaluation table: a metric's mean and deviation over repetitions."""

    metric: str
    mean: float
    deviation: float | None = None
    split: str = ""


class Evaluator(ABC):
    """From the embedding of all items to scores, and to figures if they show more than numbers do.

    `needs` names what it reads: "embedding", columns of it, and other tables that the encoder gives.
    """

    needs: Iterable[str] = ("embedding",)

    @abstractmethod
    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """The scores, and figures for the report, in the order in which they should be shown.

        Args:
            tables: `embedding`, a row an item (see `Data.evaluation_items`; the column `sample` numbers them), and the
                encoder's tables that `needs` names: a row an item too, or whole if the encoder shares them.
            data: the data set, with labels and splits.
            generator: for whatever is drawn at random.
        """
