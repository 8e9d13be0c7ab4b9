"""Judges of generated pictures: whose subject is it, and which background."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import final

import torch
from torch import Tensor, nn
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure, Lines
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_diffusion.evaluation.grid import correlation, generated, grid_of


@final
class Judges(Evaluator):
    """Two small networks, trained on the real training pictures alone, look at what was generated.

    Each picture is of a reference on background A, with a prompt for background B. For every strength of guidance
    (`split` "guidance G"): "Similarity", the share in which the first judge sees the reference's subject;
    "Controllability", in which the second sees B; "Copied background", in which it sees A; "Copied pixels", the mean
    correlation with the reference. "Judge: subject" and "Judge: background" say what the judges themselves are worth,
    on the real held-out pictures: no score can be trusted beyond that. The report shows reference, prompt and pictures,
    and similarity against controllability over the guidance.

    Args:
        guidance: names of the strengths, as given to the encoder; only their number must agree.
        steps: of the judges' training.
        shown: rows of the report's grid.

    Raises:
        ValueError: in use, if pictures are not finite, strengths don't agree, or the data lack a column.

    Paper: none; the measures are those of the method's card for small data.
    """

    needs = ("embedding", "generated", "generated.image")

    def __init__(self, guidance: Sequence[float] = (1.0, 3.0, 6.0), steps: int = 200, shown: int = 8):
        if not guidance or steps < 1 or shown < 0:
            raise ValueError("Judges need a guidance, at least 1 step and a number of rows that is not negative.")
        self.guidance, self.steps, self.shown = tuple(guidance), steps, shown

    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """The judges' accuracies, then the pictures' scores for every guidance."""
        drawn, real = generated(tables, self.guidance), data.batch(tables["embedding"]["sample"])
        for column in ("subject", "background", "prompted"):
            if column not in real:
                raise ValueError(f"The data's batches have no column '{column}' for a judge.")
        known = data.training_items
        train = data.batch(torch.arange(len(data)) if known is None else known)
        judges = {name: judge(train["image"], train[name], self.steps, generator) for name in ("subject", "background")}
        scores: list[Score | Figure] = [
            Score(f"Judge: {name}", accuracy(network, real["image"], real[name])) for name, network in judges.items()
        ]
        curve: tuple[list[float], list[float]] = ([], [])
        for number, strength in enumerate(self.guidance):
            made, split = drawn[:, number], f"guidance {strength:g}"
            same = accuracy(judges["subject"], made, real["subject"])
            obeyed = accuracy(judges["background"], made, real["prompted"])
            copied = accuracy(judges["background"], made, real["background"])
            scores += [
                Score("Similarity", same, split=split), Score("Controllability", obeyed, split=split),
                Score("Copied background", copied, split=split),
                Score("Copied pixels", correlation(made, real["image"]), split=split),
            ]  # fmt: skip
            curve[0].append(obeyed)
            curve[1].append(same)
        reading = (
            "Each point is a strength of guidance; right is more obedient to the prompt, up is more like the subject."
        )
        return [
            *scores, grid_of(real, drawn, self.guidance, self.shown),
            Lines("Similarity against controllability", reading, {"pictures": curve}, x="controllability"),
        ]  # fmt: skip


def judge(image: Tensor, label: Tensor, steps: int, generator: torch.Generator) -> nn.Module:
    """A small convolutional classifier, its weights and batches drawn from the generator alone."""
    channels, kinds = image.shape[1], int(label.max()) + 1
    network = nn.Sequential(
        nn.Conv2d(channels, 24, 3, padding=1), nn.ReLU(), nn.Conv2d(24, 32, 3, stride=2, padding=1), nn.ReLU(),
        nn.Conv2d(32, 48, 3, stride=2, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(192, kinds),
    )  # fmt: skip
    with torch.no_grad():
        for weight in network.parameters():
            fan = weight[0].numel() if weight.dim() > 1 else 0
            weight.copy_(torch.randn(weight.shape, generator=generator) * (2 / fan) ** 0.5 if fan else weight * 0)
    with torch.enable_grad():
        optimizer = torch.optim.Adam(network.parameters(), 3e-3)
        for _ in range(steps):
            rows = torch.randint(len(image), (64,), generator=generator)
            # Generated pictures are noisier than drawn ones; a judge that knows noise looks at what matters.
            noisy = image[rows] + 0.05 * torch.randn(image[rows].shape, generator=generator)
            loss = functional.cross_entropy(network(noisy * 2 - 1), label[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, image: Tensor, label: Tensor) -> float:
    """Share of the images in which the network sees the label."""
    return float((network(image * 2 - 1).argmax(1) == label).float().mean())
