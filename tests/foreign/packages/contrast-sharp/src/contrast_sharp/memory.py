"""A reservoir for each class."""

from typing import Literal, final

import torch
from contrast_core import Embeddings
from contrast_core.interfaces import Flow, Memory
from torch import Tensor


@final
class Reservoirs(Memory):
    """For each class c a uniform sample, without replacement, of all rows of class c that were ever written.

    Vitter's algorithm R. The t-th row of a class (t = 1, 2, ...) takes place t while t <= size. Later it draws j from
    1 ... t and takes place j if j <= size; else it is forgotten. So after t rows each of them is kept with probability
    min(1, size / t), and a rare class has as many places as a frequent one.

    The same item counts anew each time it is written. Rows with label -1 are passed over. Numbers are drawn by a
    generator whose state is a buffer, so all processes, and a resumed run, draw the same ones.

    `read` gives the filled places, class after class, with columns `label`, `sample` (-1 where the table has none) and
    `source`, "reservoir". The dimension d of z, (n, d), is that of the first batch.

    Args:
        source: name of the table whose rows are written, with a column `label`.
        classes: how many; labels are 0 ... classes - 1.
        size: places of each class.
        when: "after-update", so that a step meets only earlier rows, or "before-pairs".
        seed: of the generator.

    Raises:
        ValueError: if classes or size is below 1; in use, for a label beyond the classes or another dimension of
            rows, and then nothing is written.

    Paper: Vitter, Random Sampling with a Reservoir, ACM Transactions on Mathematical Software 11(1), 1985.
    """

    rows: Tensor
    sample: Tensor
    seen: Tensor
    random: Tensor

    def __init__(
        self,
        source: str,
        classes: int,
        size: int = 32,
        when: Literal["before-pairs", "after-update"] = "after-update",
        seed: int = 0,
    ):
        super().__init__(source, when)
        for name, value in (("classes", classes), ("size", size)):
            if value < 1:
                raise ValueError(f"{name} = {value} must be at least 1.")
        self.needs = (source, f"{source}.label")
        self.table, self.classes, self.size = source, classes, size
        self.register_buffer("rows", torch.zeros(classes, size, 0))
        self.register_buffer("sample", torch.full((classes, size), -1))
        self.register_buffer("seen", torch.zeros(classes, dtype=torch.int64))
        self.register_buffer("random", torch.Generator().manual_seed(seed).get_state())

    def prepare(self, flow: Flow) -> None:
        """Make room for rows of the first batch's dimension."""
        z = flow[self.table].z
        self.rows = torch.zeros(self.classes, self.size, z.shape[1], device=z.device)

    @torch.no_grad()
    def write(self, rows: Embeddings) -> None:
        """Offer the rows to the reservoirs of their classes, one after the other."""
        labels = rows["label"].tolist()
        self._refuse(rows.z, labels)
        taken = self._places(labels)
        if not taken:
            return
        places = torch.tensor(list(taken), device=self.rows.device)
        chosen = torch.tensor(list(taken.values()), device=self.rows.device)
        sample = rows["sample"] if "sample" in rows else torch.full_like(rows["label"], -1)
        self.rows[places[:, 0], places[:, 1]] = rows.z[chosen].to(self.rows)
        self.sample[places[:, 0], places[:, 1]] = sample[chosen].to(self.sample)

    def read(self) -> Embeddings:
        """All rows that are kept."""
        label, place = (torch.arange(self.size, device=self.seen.device) < self.seen[:, None]).nonzero(as_tuple=True)
        return Embeddings.of(self.rows[label, place], label=label, sample=self.sample[label, place], source="reservoir")

    def _refuse(self, z: Tensor, labels: list[int]) -> None:
        if z.shape[1:] != self.rows.shape[2:]:
            raise ValueError(f"Rows of shape {tuple(z.shape[1:])} do not fit into {tuple(self.rows.shape[2:])}.")
        if labels and not -1 <= min(labels) <= max(labels) < self.classes:
            raise ValueError(f"Labels from {min(labels)} to {max(labels)} must be from -1 to {self.classes - 1}.")

    def _places(self, labels: list[int]) -> dict[tuple[int, int], int]:
        """Which row of the table comes to lie in which place; a later row displaces an earlier one."""
        generator = torch.Generator()
        generator.set_state(self.random.cpu())
        draws = torch.rand(len(labels), generator=generator, dtype=torch.float64).tolist()
        seen, taken = self.seen.tolist(), {}
        for number, (label, draw) in enumerate(zip(labels, draws, strict=True)):
            if label >= 0:
                place = seen[label] if seen[label] < self.size else int(draw * (seen[label] + 1))
                seen[label] += 1
                if place < self.size:
                    taken[label, place] = number
        self.random.copy_(generator.get_state())
        self.seen.copy_(torch.tensor(seen))
        return taken
