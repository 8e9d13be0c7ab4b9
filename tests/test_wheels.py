"""The distributions are complete: a wheel carries its recipes, its types, its licence and its entry point."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = {
    "core": ["contrast_core/registry.toml", "contrast_core/report/style.css", "contrast_core/report/map.js"],
    "plugins/code": ["contrast_code/recipes/cocosoda.toml", "contrast_code/checks.toml"],
    "plugins/diffusion": ["contrast_diffusion/recipes/customcontrast.toml", "contrast_diffusion/checks.toml"],
    "plugins/medical": ["contrast_medical/recipes/sepclr.toml", "contrast_medical/checks.toml"],
    "plugins/graph": ["contrast_graph/recipes/meow.toml"],
    "plugins/recommendation": ["contrast_recommendation/recipes/mclrec.toml"],
    "plugins/speech": ["contrast_speech/recipes/coconut.toml", "contrast_speech/checks.toml"],
    "plugins/fewshot": ["contrast_fewshot/recipes/beclr.toml"],
}


@pytest.mark.parametrize("package", PACKAGES)
def test_wheel_is_complete(package: str, tmp_path: Path) -> None:
    """Every file under src is in the wheel, with licence and entry point."""
    folder = ROOT / package
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        inside = set(archive.namelist())
        (points,) = [name for name in inside if name.endswith("entry_points.txt")]
        assert "[contrast]" in archive.read(points).decode()
    sources = {
        str(path.relative_to(folder / "src"))
        for path in (folder / "src").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert sources <= inside
    assert set(PACKAGES[package]) <= inside
    assert any(name.endswith("licenses/LICENSE") for name in inside)
