"""CodeSearchNet's files, as its authors and those of GraphCodeBERT gave them out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, final

from contrast_code.data.filters import Pair
from contrast_code.data.pairs import CodePairs
from contrast_code.languages import LANGUAGES, leaves, without_comments
from contrast_code.rows import Snippet

PARTS = {"train": "train", "valid": "validation", "test": "test"}
CODEBASE = "codebase"


@final
class CodeSearchNet(CodePairs):
    """CodeSearchNet: functions of six languages with the beginning of what documents them.

    A folder for each language holds JSON lines: `LANGUAGE/train.jsonl`, `valid.jsonl` and `test.jsonl`, or, as in the
    original, `LANGUAGE/final/jsonl/train/*.jsonl.gz` and so on. A line has `code` (or `original_string`),
    `docstring_tokens` and `func_name`; `url`, `path` and `repo` are used where they are. Comments and docstrings are
    taken out of the code, and its leaves come from its syntax tree. Where a language has a `codebase.jsonl`, as in
    GraphCodeBERT's lists, all of its code is searched beside that of the test part, without its docstrings.

    Args:
        path: the folder.
        languages: of which languages; left out, all that the folder has.
        limit: so many lines at most of each file, for a quick look.
        vocabulary, code_length, query_length, tokenizer, prefix, suffix, hide_names, language_power, split_seed: see
            `contrast_code.data.pairs.CodePairs`. The parts are the folder's own.

    Raises:
        ValueError: for an unknown language; when loading, if the folder or a part of a language is missing, for a line
            that is no JSON or lacks a key (named by file and line), and as `CodePairs` does.

    Papers: Husain et al., CodeSearchNet Challenge, arXiv 1909.09436; Guo et al., GraphCodeBERT, ICLR 2021, arXiv
    2009.08366, for the filtered lists.
    """

    def __init__(
        self,
        path: Path,
        languages: Sequence[str] | None = None,
        limit: int | None = None,
        vocabulary: int = 50000,
        code_length: int = 256,
        query_length: int = 128,
        tokenizer: str | None = None,
        prefix: Sequence[str] = (),
        suffix: Sequence[str] = (),
        hide_names: bool = False,
        language_power: float = 0.7,
        split_seed: int = 0,
    ):
        super().__init__(
            vocabulary, code_length, query_length, tokenizer, prefix, suffix, hide_names, language_power, split_seed
        )
        for language in languages or ():
            if language not in LANGUAGES:
                raise ValueError(f"There is no grammar of '{language}'; there are {', '.join(LANGUAGES)}.")
        self.path, self.languages, self.limit = path, languages, limit
        self._skipped = 0

    def _read(self) -> Sequence[Pair]:
        if not self.path.is_dir():
            raise ValueError(
                f"There is no folder {self.path}: --set data.path=FOLDER, with a folder for each language."
            )
        wanted = self.languages or [name for name in LANGUAGES if (self.path / name).is_dir()]
        if not wanted:
            raise ValueError(f"{self.path} has none of the folders {', '.join(LANGUAGES)}.")
        self._skipped = 0
        found = [pair for language in wanted for part in PARTS for pair in self._part(language, part)]
        bases = [language for language in wanted if (self.path / language / f"{CODEBASE}.jsonl").is_file()]
        return found + [pair for language in bases for pair in self._part(language, CODEBASE)]

    def _parts_of(self, pairs: Sequence[Pair]) -> Sequence[str]:
        return [pair.part for pair in pairs]

    def _part(self, language: str, part: str) -> Iterator[Pair]:
        folder = self.path / language
        files = [folder / f"{part}.jsonl"] if (folder / f"{part}.jsonl").is_file() else []
        files = files or sorted(folder.glob(f"final/jsonl/{part}/*.jsonl.gz"))
        if not files:
            raise ValueError(f"{folder} has neither {part}.jsonl nor final/jsonl/{part}/*.jsonl.gz.")
        for file in files:
            for number, line in enumerate(_lines(file), 1):
                if self.limit is not None and number > self.limit:
                    break
                if line.strip() and (pair := self._pair(line, language, part, f"{file}:{number}")) is not None:
                    yield pair

    def _pair(self, line: str, language: str, part: str, where: str) -> Pair | None:
        """The pair of one line; None, and counted, if its code or its query is empty."""
        try:
            told: dict[str, Any] = json.loads(line)
            text = told["code"] if "code" in told else told["original_string"]
            # What is only searched may come without what documents it.
            words = [] if part == CODEBASE else told["docstring_tokens"]
            query, name = " ".join(words), str(told["func_name"])
            code = Snippet.of(leaves(without_comments(text, language), language))
        except json.JSONDecodeError as error:
            raise ValueError(f"{where} is no JSON: {error.msg}.") from error
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{where} must have code, docstring_tokens (a list) and func_name ({error}).") from error
        if not code.text or (part != CODEBASE and not query.strip()):
            self._skipped += 1
            return None
        file, origin = str(told.get("url") or told.get("path") or where), str(told.get("repo", ""))
        return Pair(query, code, name.rpartition(".")[2], file, language, origin, PARTS.get(part, part))

    @property
    def source(self) -> str:
        """The folder, its languages and what was skipped."""
        languages = ", ".join(dict.fromkeys(pair.language for pair in self.pairs))
        skipped = f"; {self._skipped} lines without code or query skipped" if self._skipped else ""
        return self.told_of(f"CodeSearchNet, {self.path.name}, {languages}") + skipped


def _lines(file: Path) -> Iterator[str]:
    try:
        if file.suffix == ".gz":
            with gzip.open(file, "rt", encoding="utf-8") as handle:
                yield from handle
        else:
            with file.open(encoding="utf-8") as handle:
                yield from handle
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise ValueError(f"{file} can't be read: {error}.") from error
