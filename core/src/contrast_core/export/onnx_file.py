"""An encoder as an ONNX model with any number of items."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import torch
from torch.export import Dim

from contrast_core.errors import ContrastError
from contrast_core.export.module import TEXT, EncoderModule
from contrast_core.files import replacing

OUTPUT, BATCH = "embedding", "n"


def write_onnx(module: EncoderModule, path: Path) -> None:
    """Write the model: inputs under their names with the first dimension free, the output `embedding` (n, d).

    Raises:
        ContrastError: if onnx or onnxscript is missing, an input is a text, or torch can't export the encoder for any
            number of items.
    """
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            raise ContrastError(f"ONNX needs {name}, which is not installed: pip install 'contrast-core[onnx]'")
    component = module.description["component"]
    if any(each.dtype == TEXT for each in module.inputs):
        raise ContrastError(
            f"{component} takes texts, and ONNX tensors only: export it with --format sentence-transformers."
        )
    example = tuple(each.blank(2) for each in module.inputs)
    free = Dim(BATCH)
    try:
        with _quiet():
            made = torch.onnx.export(
                module, example, None, input_names=list(module.input_names), output_names=[OUTPUT], dynamo=True,
                dynamic_shapes=(tuple({0: free} for _ in example),), verbose=False,
            )  # fmt: skip
    except Exception as error:
        reason = " ".join(str(error.__cause__ or error).split())[:300]
        raise ContrastError(f"torch can't export {component} to ONNX: {reason}") from error
    assert made is not None
    if isinstance(made.model.graph.outputs[0].shape[0], int):  # type: ignore[index]
        raise ContrastError(
            f"torch exports {component} for two items only: it reads the number of items as a plain number, as by "
            "len(); tensor.shape[0] instead keeps it free."
        )
    with replacing(path) as temporary:
        made.save(temporary)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without what torch's exporter says about its own code and about libraries that nobody asked for."""
    kept = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(kept)
