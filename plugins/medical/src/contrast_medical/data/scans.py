"""Reading DICOM and NIfTI files as grey images of a byte a pixel."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy
from numpy.typing import NDArray

from contrast_core.data.image_files import Reader
from contrast_core.errors import ContrastError

Axis = Literal["sagittal", "coronal", "axial"]
AXES = {"sagittal": 0, "coronal": 1, "axial": 2}


class Plane(NamedTuple):
    """Which slice of a volume is an image, and which of its values are black and white.

    axis: across which it lies.
    position: where, from 0 to 1: from left to right, from the back to the front, or from the bottom to the top.
    percentiles: of the volume's values, that become black and white.
    """

    axis: Axis
    position: float
    percentiles: tuple[float, float]


def readers_of(plane: Plane) -> Mapping[str, Reader]:
    """What reads medical files, by their endings."""

    nifti = partial(read_nifti, plane=plane)
    return {".dcm": read_dicom, ".dicom": read_dicom, ".nii": nifti, ".nii.gz": nifti}


def read_dicom(path: Path) -> NDArray[numpy.uint8]:
    """The one image of a DICOM file, (H, W) or, in colour, (H, W, 3).

    Stored values are rescaled by slope and intercept (or the modality's table), then the first window or table for
    display is applied; without one, the least value is black and the greatest white. MONOCHROME1 is inverted, so that
    more is always brighter.

    Raises:
        ContrastError: without pydicom.
        OSError: if it can't be read, has no image or several, or is compressed in a way that needs another library.
    """
    pydicom = _library("pydicom", "dicom", path)
    pixels = importlib.import_module("pydicom.pixels")
    try:
        found = pydicom.dcmread(path)
        stored: NDArray[Any] = found.pixel_array
        colour = int(found.get("SamplesPerPixel", 1)) > 1
        if stored.ndim == 2 and not colour:
            return _shown(found, pixels.apply_modality_lut(stored, found), pixels.apply_voi_lut)
    except FileNotFoundError:
        raise
    # What is wrong inside of a file shows in any of these.
    except (
        pydicom.errors.InvalidDicomError,
        AttributeError,
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        EOFError,
    ) as error:
        raise OSError(f"it is no DICOM image that pydicom can read ({_said(error)})") from error
    if stored.ndim != 2 + colour:
        raise OSError(f"it has {len(stored)} images; one file has to be one image")
    if stored.dtype != numpy.uint8 or stored.shape[2] != 3:
        raise OSError(f"its colours are {stored.dtype} {stored.shape}, not three of a byte each")
    return stored


def _shown(found: Any, values: NDArray[Any], apply_voi_lut: Any) -> NDArray[numpy.uint8]:
    """Rescaled values as bytes."""
    shown_range = _display_range(found)
    if found.get("VOILUTSequence"):
        table = found.VOILUTSequence[0]
        # pydicom 3.0 looks places up in as many bits as the entries have, so that in a table of bytes place 256 is 0.
        table.LUTDescriptor = [*table.LUTDescriptor[:2], 16]
        values = numpy.rint(values).astype(numpy.int64)
    shown = apply_voi_lut(values, found)
    grey = _as_bytes(shown, *(shown_range or (float(shown.min()), float(shown.max()))))
    return 255 - grey if found.get("PhotometricInterpretation") == "MONOCHROME1" else grey


def _display_range(found: Any) -> tuple[float, float] | None:
    """What pydicom makes of black and white by a table or a window; None if there is neither."""
    if found.get("VOILUTSequence"):
        return 0.0, 2.0 ** int(found.VOILUTSequence[0].LUTDescriptor[2]) - 1
    if found.get("WindowCenter") is None or found.get("WindowWidth") is None:
        return None
    if found.get("ModalityLUTSequence"):
        return 0.0, 2.0 ** int(found.ModalityLUTSequence[0].LUTDescriptor[2]) - 1
    bits = int(found.BitsStored)
    low, high = (-(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1) if found.PixelRepresentation else (0.0, 2.0**bits - 1)
    slope, intercept = float(found.get("RescaleSlope", 1)), float(found.get("RescaleIntercept", 0))
    return low * slope + intercept, high * slope + intercept


def read_nifti(path: Path, plane: Plane) -> NDArray[numpy.uint8]:
    """One slice of a NIfTI volume, (H, W), turned so that top, front and right are above and to the right.

    The axes are those of the body (nibabel's closest canonical orientation), however the volume is stored.

    Raises:
        ContrastError: without nibabel.
        OSError: if it can't be read, or is no volume of finite numbers of three dimensions.
    """
    nibabel = _library("nibabel", "nifti", path)
    try:
        found = nibabel.as_closest_canonical(nibabel.load(path))
        volume: NDArray[Any] = numpy.asanyarray(found.dataobj)
    except FileNotFoundError:
        raise
    except (nibabel.filebasedimages.ImageFileError, OSError, ValueError, EOFError, zlib.error) as error:
        raise OSError(f"it is no NIfTI volume that nibabel can read ({_said(error)})") from error
    while volume.ndim > 3 and volume.shape[-1] == 1:
        volume = volume[..., 0]
    if volume.ndim != 3 or volume.dtype.kind not in "uif" or not volume.size:
        raise OSError(f"it holds {volume.dtype} {volume.shape}, not one volume of numbers in three dimensions")
    if not numpy.isfinite(volume).all():
        raise OSError("it holds values that are not finite")
    low, high = numpy.percentile(volume, plane.percentiles)
    axis = AXES[plane.axis]
    number = round(plane.position * (volume.shape[axis] - 1))
    return _as_bytes(numpy.rot90(numpy.take(volume, number, axis)), float(low), float(high))


def _as_bytes(values: NDArray[Any], low: float, high: float) -> NDArray[numpy.uint8]:
    """From low, 0, to high, 255; all 0 where both are the same."""
    share = (values.astype(numpy.float64) - low) / ((high - low) or 1.0)
    return numpy.ascontiguousarray((share.clip(0, 1) * 255).round().astype(numpy.uint8))


def _library(name: str, extra: str, path: Path) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ContrastError(f"Reading {path.name} needs {name}: pip install contrast-medical[{extra}].") from error


def _said(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".") or type(error).__name__
