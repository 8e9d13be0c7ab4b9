"""SimCLR on handwritten digits from Python: run a recipe with other settings, look at scores, embed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import contrast_core as contrast


def main() -> None:
    """Train for a few epochs into a temporary folder and print what came out."""
    with tempfile.TemporaryDirectory() as place:
        settings = {"training.epochs": 5, "objective.contrast.temperature": 0.2}
        run = contrast.run("core/digits-simclr", set=settings, out=Path(place) / "run")
        for evaluator, scores in run.scores.items():
            for score in scores:
                print(f"{evaluator:12} {score.split:12} {score.metric:12} {score.mean:.3f}")
        table = contrast.embed(run.folder)
        print(len(table), "embeddings of", table.z.shape[1], "numbers; the report was", run.folder / "report.html")


if __name__ == "__main__":
    main()
