"""CLIP-I, DINO-I and CLIP-T, with models on the user's disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, final

import torch
from torch import Tensor
from torch.nn import functional

from contrast_core.embeddings import Embeddings
from contrast_core.figures import Figure
from contrast_core.interfaces import Data, Evaluator, Score
from contrast_diffusion.evaluation.grid import correlation, generated, grid_of
from contrast_diffusion.model.vision import Frozen, load_model


@final
class Likeness(Evaluator):
    """The field's scores of generated pictures, for every strength of guidance, beside the pictures themselves.

    "CLIP-I" and "DINO-I": mean cosine of the features of a picture with those of all embedded real pictures of its
    subject; "CLIP-T": mean cosine of CLIP's features of picture and prompt. CLIP's features are the projected ones,
    DINO's the first token. "Copied pixels" is the mean correlation with the reference, which needs no model.

    Args:
        clip: folder of a CLIP model with its tokenizer, dino: of a vision model of transformers; without one, its
            scores are left out.
        guidance: names of the strengths. shown: rows of the report's grid.

    Raises:
        ValueError: in use, if a folder holds no such model, or pictures are not finite or not as many as `guidance`.
    """

    needs = ("embedding", "generated", "generated.image")

    def __init__(
        self,
        clip: Path | None = None,
        dino: Path | None = None,
        guidance: Sequence[float] = (7.5,),
        shown: int = 8,
    ):
        self.clip, self.dino, self.guidance, self.shown = clip, dino, tuple(guidance), shown

    @torch.no_grad()
    def evaluate(
        self, tables: Mapping[str, Embeddings], data: Data, generator: torch.Generator
    ) -> Sequence[Score | Figure]:
        """The scores of every guidance, and the grid."""
        drawn, real = generated(tables, self.guidance), data.batch(tables["embedding"]["sample"])
        scores: list[Score | Figure] = [
            Score("Copied pixels", correlation(picture, real["image"]), split=name)
            for name, picture in self._pictures(drawn)
        ]
        if self.clip is not None:
            clip, vision = load_model(self.clip), Frozen(self.clip)
            words = functional.normalize(_words(clip, self.clip, real["prompt"]), dim=1)

            def projected(image: Tensor) -> Tensor:
                found: Tensor = clip.visual_projection(clip.vision_model.post_layernorm(vision(image)))
                return found

            for name, picture in self._pictures(drawn):
                scores.append(Score("CLIP-I", _alike(projected(picture), projected(real["image"]), real), split=name))
                seen = functional.normalize(projected(picture), dim=1)
                scores.append(Score("CLIP-T", float((seen * words).sum(1).mean()), split=name))
        if self.dino is not None:
            dino = Frozen(self.dino)
            for name, picture in self._pictures(drawn):
                scores.append(Score("DINO-I", _alike(dino(picture), dino(real["image"]), real), split=name))
        return [*scores, grid_of(real, drawn, self.guidance, self.shown)]

    def _pictures(self, drawn: Tensor) -> list[tuple[str, Tensor]]:
        return [(f"guidance {g:g}", drawn[:, k]) for k, g in enumerate(self.guidance)]


def _alike(made: Tensor, real: Tensor, facts: Mapping[str, Any]) -> float:
    """Mean cosine of each row with the real rows of its subject."""
    cosines = functional.normalize(made, dim=1) @ functional.normalize(real, dim=1).T
    same = (facts["subject"][:, None] == facts["subject"]).float()
    return float(((cosines * same).sum(1) / same.sum(1)).mean())


def _words(clip: Any, path: Path, prompts: Sequence[str]) -> Tensor:
    from transformers import AutoTokenizer

    if not hasattr(clip, "text_projection"):
        raise ValueError(f"{path} holds {type(clip).__name__}, which knows no texts; clip must be a CLIP model.")
    tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
    given = tokenizer(list(prompts), padding=True, truncation=True, return_tensors="pt")
    pooled = clip.text_model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).pooler_output
    found: Tensor = clip.text_projection(pooled)
    return found
