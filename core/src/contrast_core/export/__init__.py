"""Taking a trained encoder out of the framework: a plain module, files, ONNX, sentence-transformers, scikit-learn.

from contrast_core import load_encoder

encoder = load_encoder("runs/digits-simclr")     # an nn.Module in evaluation mode
embedding = encoder(images)                      # (n, d)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contrast_core.assembly import trained
from contrast_core.errors import ContrastError
from contrast_core.export.extract import extract
from contrast_core.export.folder import load as load
from contrast_core.export.folder import write_folder
from contrast_core.export.module import EncoderModule as EncoderModule
from contrast_core.export.onnx_file import write_onnx
from contrast_core.export.sentences import write_sentence_transformer
from contrast_core.registry import Registry, discover
from contrast_core.settings import as_settings
from contrast_core.training.checkpoint import own_randomness

FORMATS = ("folder", "onnx", "sentence-transformers")


def load_encoder(
    run: str | Path, *, set: Mapping[str, Any] | Sequence[str] = (), registry: Registry | None = None
) -> EncoderModule:
    """The trained encoder of a run as a plain module in evaluation mode, on the CPU: raw inputs in, embedding out.

    Args:
        run: the run folder.
        set: settings stronger than the run's, for example where its data are now.
        registry: plugins to use; by default the installed ones.

    Raises:
        ContrastError: if the run has no trained model, or its encoder can't embed items by themselves.
    """
    registry = registry or discover()
    with own_randomness():
        return extract(trained(Path(run), as_settings(set), registry), registry)


def export_run(
    run: str | Path,
    output: str | Path,
    *,
    format: str | None = None,
    set: Mapping[str, Any] | Sequence[str] = (),
    registry: Registry | None = None,
) -> EncoderModule:
    """Write the trained encoder of a run, and return it.

    Args:
        run: the run folder.
        output: a new folder, or a file that ends in .onnx.
        format: "folder" (safetensors and JSON, for `contrast_core.export.load`), "onnx" or "sentence-transformers"; by
            default by the ending.
        set: settings stronger than the run's.
        registry: plugins to use; by default the installed ones.

    Raises:
        ContrastError: if it can't be exported so; then nothing is written.
    """
    output = Path(output)
    format = format or ("onnx" if output.suffix == ".onnx" else "folder")
    if format not in FORMATS:
        raise ContrastError(f"The format must be one of {', '.join(FORMATS)}, not '{format}'.")
    if format == "onnx" and (output.suffix != ".onnx" or output.is_dir()):
        raise ContrastError(f"{output}: an ONNX model is a file whose name ends in .onnx.")
    if format != "onnx" and output.suffix == ".onnx":
        raise ContrastError(f"{output}: the format {format} is a folder, whose name does not end in .onnx.")
    module = load_encoder(run, set=set, registry=registry)
    if format == "folder":
        write_folder(module, output, registry)
    else:
        {"onnx": write_onnx, "sentence-transformers": write_sentence_transformer}[format](module, output)
    return module
