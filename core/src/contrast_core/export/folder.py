"""The folder of an exported encoder: safetensors, JSON, and three lines that load it."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from contrast_core.errors import ContrastError
from contrast_core.export.module import EncoderModule
from contrast_core.export.packing import packed, unpacked
from contrast_core.registry import Registry

WEIGHTS, DESCRIPTION, README = "encoder.safetensors", "encoder.json", "README.md"


def write_folder(module: EncoderModule, folder: Path, registry: Registry | None = None) -> None:
    """Write the folder; what is written has been loaded again, bit by bit the same.

    Raises:
        ContrastError: if the folder exists and is not empty, or the encoder can't be built from what is written.
    """
    with new_folder(folder) as temporary:
        described, tensors = packed(module)
        save_file(tensors, temporary / WEIGHTS)
        (temporary / DESCRIPTION).write_text(json.dumps(described, indent=2, ensure_ascii=False) + "\n", "utf-8")
        (temporary / README).write_text(_readme(module), encoding="utf-8")
        again = packed(load(temporary, registry))[1]
        if again.keys() != tensors.keys() or not all(_same_bits(again[name], tensors[name]) for name in tensors):
            raise ContrastError(f"The encoder {module.description['component']} is not the same when it is loaded.")


def load(folder: str | Path, registry: Registry | None = None) -> EncoderModule:
    """The encoder that `contrast export` wrote to a folder, in evaluation mode; nothing else is read.

    Raises:
        ContrastError: if the folder holds none, it is damaged, or a plugin that it needs is not installed.
    """
    folder = Path(folder)
    try:
        described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        tensors: dict[str, Tensor] = load_file(folder / WEIGHTS)
    except (OSError, ValueError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ContrastError(f"{folder} holds no exported encoder: {reason}.") from error
    if not isinstance(described, dict) or "format" not in described:
        raise ContrastError(
            f"{folder / DESCRIPTION} describes no exported encoder; of a run folder make one: contrast export {folder}"
            " -o FOLDER"
        )
    return unpacked(described, tensors, registry)


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder`, which takes its name if the block succeeds.

    Raises:
        ContrastError: if `folder` exists and is not empty, or can't be made.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ContrastError(f"{folder} exists already and is no empty folder; choose another name, or remove it.")
    temporary = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise ContrastError(f"The folder {folder} can't be made: {error.strerror or error}.") from error
    try:
        yield temporary
        if folder.exists():
            folder.rmdir()
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _same_bits(one: Tensor, two: Tensor) -> bool:
    # Not by equal numbers: a buffer may hold NaN.
    return one.dtype == two.dtype and one.shape == two.shape and one.numpy().tobytes() == two.numpy().tobytes()


def _readme(module: EncoderModule) -> str:
    arguments = ", ".join(module.input_names)
    kinds = "; ".join(f"`{i.name}`: {_kind(i.dtype, i.shape)}" for i in module.inputs)
    needed = " ".join(f"{name}=={number}" for name, number in module.description["versions"].items() if name != "torch")
    return (
        f"The encoder of {module.description['recipe']}, trained on {module.description['source']}.\n\n"
        "```python\nfrom contrast_core.export import load\n"
        f'encoder = load("path/of/this/folder")\nembedding = encoder({arguments})\n```\n\n'
        f"Inputs: {kinds}. The embedding has {module.size} numbers an item. Made with {needed}.\n"
    )


def _kind(dtype: str, shape: tuple[int, ...]) -> str:
    return "a list of texts" if dtype == "text" else f"{dtype} ({', '.join(map(str, ('n', *shape)))})"
