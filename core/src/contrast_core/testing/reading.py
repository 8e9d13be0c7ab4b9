"""Watching which names of a flow a component reads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, final

from contrast_core.testing.outcome import Violation


@final
class Reading:
    """The names that were read from the mappings it watches."""

    def __init__(self) -> None:
        self.names: set[str] = set()
        self.asked: set[str] = set()

    def watching(self, flow: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same mapping, watched."""
        return _Watched(flow, self.names, self.asked)

    def check(self, needs: Iterable[str]) -> None:
        """Raise Violation if a name was read that is not among the needs; one may read what one asked for before."""
        declared = {name.partition(".")[0] for name in needs}
        if undeclared := sorted(self.names - declared - self.asked):
            raise Violation(
                f"It reads '{undeclared[0]}', which its `needs` ({', '.join(sorted(declared)) or 'nothing'}) does not "
                "name: a recipe without it would break in the middle of a run."
            )


@final
class _Watched(Mapping[str, Any]):
    """A mapping that notes which values are taken out of it, and which names it was asked about."""

    def __init__(self, flow: Mapping[str, Any], names: set[str], asked: set[str]):
        self.flow, self.seen, self.asked = flow, names, asked

    def __getitem__(self, name: str) -> Any:
        value = self.flow[name]
        self.seen.add(name)
        return value

    def __contains__(self, name: object) -> bool:
        self.asked.add(str(name))
        return name in self.flow

    def get(self, name: str, default: Any = None) -> Any:
        """The value or the default: whoever has a default does not need the name."""
        self.asked.add(name)
        return self.flow.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self.flow)

    def __len__(self) -> int:
        return len(self.flow)
