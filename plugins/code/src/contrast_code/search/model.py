"""The encoder of a trained run, for queries without torch where that is possible."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from contrast_code.languages import leaves
from contrast_code.rows import Ids, Ragged, Snippet
from contrast_code.tokens import FITTED, Tokens

WEIGHTS = "model.safetensors"
TABLE = re.compile(r".*networks\.(\w+)\.table\.weight")
"""The vectors of tokens of a view's network, or of the one that all views share."""
BATCH = 256
"""Rows that are embedded at a time."""


@final
class Model:
    """What a finished run of contrast-code embeds code and queries with.

    A `code/token-encoder` without layers is a table of vectors, whose mean over a row's tokens numpy computes at once.
    Any other encoder is loaded with torch, which takes seconds.

    Args:
        folder: of the run.

    Raises:
        ValueError: if it is no finished run of contrast-code.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        if not (folder / WEIGHTS).is_file():
            raise ValueError(f"{folder} holds no trained model. Train one: contrast run code/cocosoda.")
        if not (folder / FITTED).is_file():
            raise ValueError(f"{folder} is no run of contrast-code: it keeps no tokens.")
        try:
            self.tokens = Tokens.of_run(folder)
            self._tables = self._alone()
        except SafetensorError as error:
            raise ValueError(f"The run {folder} is damaged: {error}.") from error
        self._network: Any = None

    @property
    def name(self) -> str:
        """Tells runs with other weights or tokens apart."""
        digest = hashlib.sha256()
        for part in (FITTED, WEIGHTS):
            digest.update((self.folder / part).read_bytes())
        return digest.hexdigest()

    def codes(self, codes: Sequence[str], languages: Sequence[str]) -> NDArray[np.float32]:
        """Embeddings of codes, (n, d)."""
        snippets = [Snippet.of(leaves(code, language)) for code, language in zip(codes, languages, strict=True)]
        return self._embedded(self.tokens.snippet_rows(snippets).ids, "code")

    def query(self, text: str) -> NDArray[np.float32]:
        """The embedding of a query, (d,).

        Raises:
            ValueError: if there is no word in it.
        """
        ids = self.tokens.query_rows([text]).ids
        if not text.strip() or not len(ids.values):
            raise ValueError("The query is empty: say in a few words what the code does.")
        row: NDArray[np.float32] = self._embedded(ids, "query")[0]
        return row

    def _embedded(self, rows: Ragged, view: str) -> NDArray[np.float32]:
        some = [np.arange(start, min(start + BATCH, len(rows))) for start in range(0, len(rows), BATCH)]
        found = np.concatenate([self._vectors(rows.padded(items), view) for items in some])
        unit: NDArray[np.float32] = found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
        return unit

    def _vectors(self, ids: Ids, view: str) -> NDArray[np.float32]:
        if self._tables is None:
            return self._by_torch(ids, view)
        there = ids >= 0
        weights = (there / np.maximum(there.sum(1, keepdims=True), 1)).astype(np.float32)
        table = self._tables.get("shared", self._tables.get(view))
        assert table is not None
        mean: NDArray[np.float32] = (weights[:, None, :] @ table[np.maximum(ids, 0)])[:, 0]
        return mean

    def _alone(self) -> dict[str, NDArray[np.float32]] | None:
        """The tables of the views, or the shared one, if the encoder is nothing else."""
        with safe_open(str(self.folder / WEIGHTS), "numpy") as file:
            keys = [key for key in file.keys() if key.startswith("encoder.") and "teacher." not in key]  # noqa: SIM118
            found = {key: match[1] for key in keys if (match := TABLE.fullmatch(key))}
            tables = {view: file.get_tensor(key).astype(np.float32) for key, view in found.items()}
        whole = len(tables) == len(keys) and ("shared" in tables or {"code", "query"} <= tables.keys())
        return tables if whole else None

    def _by_torch(self, ids: Ids, view: str) -> NDArray[np.float32]:
        import torch

        if self._network is None:
            self._network = self._loaded()
        with torch.no_grad():
            vectors: NDArray[np.float32] = self._network.pooled(torch.from_numpy(ids), view).float().numpy()
        return vectors

    def _loaded(self) -> Any:
        """The trained network, by torch."""
        from contrast_code.encoder import Pooling
        from contrast_core import load_encoder

        for name, module in load_encoder(self.folder).encoder.named_modules():
            if isinstance(module, Pooling) and "teacher" not in name:
                return module
        raise ValueError(f"The encoder of {self.folder} is none of contrast-code's, and can't embed a query.")


def newest_run(folder: Path) -> Path:
    """The finished run of contrast-code under a folder that was begun last.

    Raises:
        ValueError: if there is none.
    """
    found = []
    for about in folder.glob("**/run.json"):
        try:
            told = json.loads(about.read_text("utf-8"))
        except (OSError, ValueError):
            continue
        ours = str(told.get("name", "")).startswith("code/") and (about.parent / FITTED).is_file()
        if ours and told.get("status") == "finished":
            found.append((str(told.get("started", "")), about.parent))
    if not found:
        raise ValueError(
            f"There is no finished run of contrast-code under {folder.resolve()}. Train one here with "
            "`contrast run code/cocosoda`, or say where one is: --run FOLDER."
        )
    return max(found)[1]
