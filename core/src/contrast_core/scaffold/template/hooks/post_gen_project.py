"""A package without a licence has no file LICENSE; `contrast new` writes none by itself."""

import shutil
from pathlib import Path

if not Path("LICENSE").read_text(encoding="utf-8").strip():
    Path("LICENSE").unlink()
# An installer may have compiled the template's files.
for folder in list(Path().rglob("__pycache__")):
    shutil.rmtree(folder)
