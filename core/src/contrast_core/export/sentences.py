"""A text encoder as a folder that stock sentence-transformers loads."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from contrast_core.adapters.named import imported
from contrast_core.adapters.transformers import Transformers
from contrast_core.encoders.teaching import Teaching
from contrast_core.errors import ContrastError
from contrast_core.export.folder import new_folder
from contrast_core.export.module import EncoderModule

POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
"""Names of a pooling here and there."""


def write_sentence_transformer(module: EncoderModule, folder: Path) -> None:
    """Write the modules Transformer, Pooling and, if the embedding is normalised, Normalize; no code of this package.

    Raises:
        ContrastError: if the encoder is none of texts, or sentence-transformers is not installed.
    """
    encoder: Any = module.encoder
    while isinstance(encoder, Teaching):
        encoder = encoder.encoder
    if not isinstance(encoder, Transformers) or len(module.views):
        raise ContrastError(
            f"{module.description['component']} can't become a sentence-transformers folder: that takes the encoder "
            "core/transformers, without views before it."
        )
    library: Any = imported("core/sentence-transformers", "sentence-transformers", "sentence_transformers")
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    with TemporaryDirectory() as model, new_folder(folder) as temporary:
        parts: tuple[Any, ...] = (encoder.model, encoder.tokenizer)
        for part in parts:
            part.save_pretrained(model)
        modules = [
            Transformer(model, max_seq_length=encoder.limit),
            Pooling(module.size, POOLINGS[encoder.pooling]),
            *([Normalize()] if encoder.normalise else []),
        ]
        made = library.SentenceTransformer(modules=modules, device="cpu")
        made.save(str(temporary), create_model_card=False)
