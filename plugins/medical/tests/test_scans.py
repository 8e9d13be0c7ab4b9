"""DICOM and NIfTI files as images: windows, slices, orientation, and files that are broken."""

from __future__ import annotations

import builtins
import gzip

import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, SecondaryCaptureImageStorage, generate_uid

from contrast_core.errors import ContrastError
from contrast_medical.data.files import GroupedImages
from contrast_medical.data.scans import Plane, read_dicom, read_nifti

RAMP = np.arange(12, dtype=np.uint16).reshape(3, 4) * 100


def dicom(path, pixels=RAMP, **changed):
    """Write an image of twelve bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    found.file_meta.MediaStorageSOPClassUID = found.SOPClassUID = SecondaryCaptureImageStorage
    found.file_meta.MediaStorageSOPInstanceUID = found.SOPInstanceUID = generate_uid()
    colour = pixels.ndim == 3
    found.Rows, found.Columns = pixels.shape[:2]
    found.SamplesPerPixel = 3 if colour else 1
    found.PhotometricInterpretation = "RGB" if colour else "MONOCHROME2"
    if colour:
        found.PlanarConfiguration = 0
    found.BitsAllocated = 8 * pixels.itemsize
    found.BitsStored = 8 if pixels.itemsize == 1 else 12
    found.HighBit = found.BitsStored - 1
    found.PixelRepresentation = 0
    found.PixelData = pixels.tobytes()
    for name, value in changed.items():
        setattr(found, name, value)
    found.save_as(path, enforce_file_format=True)
    return path


def test_without_a_window_the_least_value_is_black_and_the_greatest_white(tmp_path):
    """And the other way round for MONOCHROME1."""
    expected = (RAMP / 1100 * 255).round().astype(np.uint8)
    assert np.array_equal(read_dicom(dicom(tmp_path / "a.dcm")), expected)
    inverted = dicom(tmp_path / "b.dcm", PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(read_dicom(inverted), 255 - expected)


def test_a_window_is_of_rescaled_values(tmp_path):
    """Linear as the standard has it: below c - 0.5 - (w - 1) / 2 black, above c - 0.5 + (w - 1) / 2 white."""
    centre, width = 100.0, 401.0
    path = dicom(tmp_path / "a.dcm", WindowCenter=centre, WindowWidth=width, RescaleSlope=0.5, RescaleIntercept=-100.0)
    values = RAMP * 0.5 - 100
    expected = np.clip((values - (centre - 0.5)) / (width - 1) + 0.5, 0, 1)
    assert np.array_equal(read_dicom(path), (expected * 255).round().astype(np.uint8))


def test_a_window_of_signed_values_is_too(tmp_path):
    """As in computed tomography, whose stored values go below 0."""
    signed = (RAMP.astype(np.int16) - 600).astype(np.int16)
    path = dicom(tmp_path / "a.dcm", signed, PixelRepresentation=1, WindowCenter=0, WindowWidth=401)
    expected = np.clip((signed + 0.5) / 400 + 0.5, 0, 1)
    assert np.array_equal(read_dicom(path), (expected * 255).round().astype(np.uint8))


def test_a_table_for_display_replaces_the_window(tmp_path):
    """Of eight bits: what it says is shown."""
    table = Dataset()
    table.LUTDescriptor = [4096, 0, 8]
    table["LUTDescriptor"].VR = "US"
    table.LUTData = (np.arange(4096) // 8 % 256).astype(np.uint16).tolist()
    table["LUTData"].VR = "US"
    path = dicom(tmp_path / "a.dcm", VOILUTSequence=[table])
    assert np.array_equal(read_dicom(path), (RAMP // 8 % 256).astype(np.uint8))


def test_colours_stay(tmp_path):
    """Of a byte each."""
    pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
    assert np.array_equal(read_dicom(dicom(tmp_path / "a.dcm", pixels)), pixels)


def test_dicom_files_that_are_no_one_image_say_so(tmp_path):
    """None at all, several frames, no pixels."""
    (tmp_path / "a.dcm").write_bytes(b"no image")
    with pytest.raises(OSError, match="no DICOM image that pydicom can read"):
        read_dicom(tmp_path / "a.dcm")
    frames = dicom(tmp_path / "b.dcm", np.stack([RAMP, RAMP]).reshape(6, 4), NumberOfFrames=2, Rows=3)
    with pytest.raises(OSError, match="it has 2 images"):
        read_dicom(frames)
    empty = pydicom.dcmread(frames)
    del empty.PixelData
    empty.save_as(tmp_path / "c.dcm")
    with pytest.raises(OSError, match="no DICOM image that pydicom can read"):
        read_dicom(tmp_path / "c.dcm")


def volume(path, array, affine=None):
    """Write a volume."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


@pytest.mark.parametrize(("axis", "plane"), [("sagittal", (1, 2)), ("coronal", (0, 2)), ("axial", (0, 1))])
def test_a_slice_shows_the_body_upright_however_it_is_stored(tmp_path, axis, plane):
    """The least place of the second axis is at the bottom; a volume stored from right to left gives the same."""
    array = np.random.default_rng(0).integers(0, 1000, (5, 7, 9)).astype(np.int16)
    middle = array.take(array.shape[["sagittal", "coronal", "axial"].index(axis)] // 2, 3 - sum(plane))
    expected = np.zeros((middle.shape[1], middle.shape[0]))
    for i in range(middle.shape[0]):
        for j in range(middle.shape[1]):
            expected[-1 - j, i] = (middle[i, j] - array.min()) / (array.max() - array.min())
    asked = Plane(axis, 0.5, (0, 100))
    found = read_nifti(volume(tmp_path / "a.nii", array), asked)
    assert np.array_equal(found, (expected * 255).round().astype(np.uint8))
    turned = volume(tmp_path / "b.nii.gz", array[::-1].transpose(2, 0, 1).copy(),
                    np.array([[0, -1, 0, 4], [0, 0, 1, 0], [1, 0, 0, 0], [0, 0, 0, 1.0]]))  # fmt: skip
    assert np.array_equal(read_nifti(turned, asked), found)


def test_percentiles_of_a_volume_are_black_and_white(tmp_path):
    """What lies beyond is cut; the last slice of three is asked for."""
    array = np.arange(300, dtype=np.float32).reshape(10, 10, 3)
    array[0, 0, 0] = 1e9
    found = read_nifti(volume(tmp_path / "a.nii", array), Plane("axial", 1.0, (10, 90)))
    low, high = np.percentile(array, [10, 90])
    expected = np.clip((array[:, ::-1, 2].T - low) / (high - low), 0, 1)
    assert np.abs(found.astype(float) - expected * 255).max() <= 0.51


def test_nifti_files_that_are_no_volume_say_so(tmp_path):
    """None at all, cut off, four dimensions, not finite."""
    asked = Plane("axial", 0.5, (0, 100))
    (tmp_path / "a.nii").write_bytes(b"no volume")
    with pytest.raises(OSError, match="no NIfTI volume that nibabel can read"):
        read_nifti(tmp_path / "a.nii", asked)
    whole = gzip.decompress(volume(tmp_path / "b.nii.gz", np.ones((20, 20, 20), np.float32)).read_bytes())
    for name, content in (("c.nii", whole[:2000]), ("c.nii.gz", gzip.compress(whole)[:60])):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(OSError, match="no NIfTI volume that nibabel can read"):
            read_nifti(tmp_path / name, asked)
    with pytest.raises(OSError, match=r"not one volume of numbers in three dimensions"):
        read_nifti(volume(tmp_path / "d.nii", np.ones((3, 3, 3, 2), np.float32)), asked)
    with pytest.raises(OSError, match="not finite"):
        read_nifti(volume(tmp_path / "e.nii", np.full((3, 3, 3), np.nan, np.float32)), asked)


def test_folders_of_scans_are_read_beside_other_images(tmp_path):
    """In a table and in folders; one that is broken is named with what the library says, or left out."""
    for i in range(4):
        dicom(tmp_path / "background" / f"{i}.dcm")
        volume(tmp_path / "target" / f"{i}.nii.gz", np.arange(24, dtype=np.int16).reshape(4, 3, 2))
    data = GroupedImages(tmp_path)
    data.load()
    assert data.images.shape == (8, 1, 3, 4)
    (tmp_path / "target" / "2.nii.gz").write_bytes(b"no volume")
    with pytest.raises(ValueError, match=r"2\.nii\.gz can't be read: it is no NIfTI volume .*skip_corrupt"):
        GroupedImages(tmp_path).load()
    data = GroupedImages(tmp_path, skip_corrupt=True)
    data.load()
    assert len(data) == 7


@pytest.mark.parametrize(("name", "extra"), [("pydicom", "dicom"), ("nibabel", "nifti")])
def test_a_missing_library_is_named_with_its_extra(tmp_path, monkeypatch, name, extra):
    """Even where files that can't be read are skipped: this is no fault of a file."""
    for group in ("background", "target"):
        if name == "pydicom":
            dicom(tmp_path / group / "0.dcm")
        else:
            volume(tmp_path / group / "0.nii", np.ones((3, 3, 3), np.float32))
    monkeypatch.setattr("importlib.import_module", lambda module: builtins.__import__(f"no_{module}"))
    with pytest.raises(ContrastError, match=rf"needs {name}: pip install contrast-medical\[{extra}\]"):
        GroupedImages(tmp_path, skip_corrupt=True).load()
