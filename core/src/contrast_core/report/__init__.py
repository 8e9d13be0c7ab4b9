"""The report of a run: one HTML file that stands alone and explains the run in pictures."""

from __future__ import annotations

from pathlib import Path

from contrast_core.files import replacing

__all__ = ["write_report"]


def write_report(folder: Path) -> Path:
    """Write `report.html` into a run folder from what the folder holds, and return its path.

    Whatever is missing or broken off in the middle (a run may be killed while it writes) is named in the
    report, and the rest is shown. The file needs no network and no other file. It is written beside its place
    and then moved there, so that a reader never sees half of it.

    Raises:
        FileNotFoundError: if there is no such folder.
    """
    # Drawing needs torch and scikit-learn; whoever only imports the package shall not wait for them.
    from contrast_core.report.page import render
    from contrast_core.report.read import read_run

    page = render(read_run(Path(folder)))
    with replacing(Path(folder) / "report.html") as temporary:
        temporary.write_bytes(page)
    return Path(folder) / "report.html"
