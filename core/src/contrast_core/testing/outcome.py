"""What a check came to, and the report of many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Literal

from attrs import asdict, frozen

from contrast_core.spec import Component

Outcome = Literal["passed", "failed", "skipped", "expected failure", "unexpected pass"]
BAD: tuple[Outcome, ...] = ("failed", "unexpected pass")


class Violation(AssertionError):  # noqa: N818 - a finding, not an error of the kit
    """What a component does that its users may rely on it not doing; the sentence says what would be right."""


class Skip(Exception):  # noqa: N818 - it is no error
    """Why a check says nothing about a component."""


@frozen
class Subject:
    """What is checked: a component by kind and name, or the plugin as a whole (no kind).

    Args:
        kind: of the component, or "".
        name: of the component, or of the distribution.
    """

    kind: str
    name: str

    @classmethod
    def of(cls, component: Component) -> Subject:
        """A component."""
        return cls(component.kind, component.name)

    def __str__(self) -> str:
        return f"{self.kind}:{self.name}" if self.kind else self.name


@frozen
class Result:
    """One check of one subject.

    Args:
        subject: what was checked.
        check: the check's name.
        outcome: how it ended.
        reason: why it failed, was skipped or was expected to fail; "" if it passed.
        example: the surroundings the component was checked in, if the check ran it.
        seconds: how long that took.
    """

    subject: Subject
    check: str
    outcome: Outcome
    reason: str = ""
    example: str = ""
    seconds: float = 0.0


@frozen
class Report:
    """All results for one distribution."""

    distribution: str
    version: str
    results: Sequence[Result]

    @property
    def ok(self) -> bool:
        """Whether nothing failed, and nothing passed that was said to fail."""
        return not any(result.outcome in BAD for result in self.results)

    def count(self, outcome: Outcome) -> int:
        """How many ended so."""
        return sum(result.outcome == outcome for result in self.results)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain tables, for JSON."""
        results = [{**asdict(r), "subject": str(r.subject), "seconds": round(r.seconds, 4)} for r in self.results]
        counts = dict(Counter(r.outcome for r in self.results))
        head = {"distribution": self.distribution, "version": self.version, "ok": self.ok}
        return {**head, "counts": counts, "results": results}

    def lines(self) -> list[str]:
        """The report for people: a line a subject, then what failed and why, then what was skipped and why."""
        subjects = dict.fromkeys(result.subject for result in self.results)
        width = max((len(str(subject)) for subject in subjects), default=0)
        said = [f"{self.distribution} {self.version}"]
        said += [f"  {subject!s:{width}}  {self._summary(subject)}" for subject in subjects]
        for outcome, title in (
            ("failed", "FAILED"),
            ("unexpected pass", "PASSED, though said to fail"),
            ("expected failure", "failed as expected"),
        ):
            found = [result for result in self.results if result.outcome == outcome]
            said += [
                f"{title}  {r.subject}  {r.check}{f' ({r.example})' if r.example else ''}: {r.reason}" for r in found
            ]
        skipped = Counter((r.check, r.reason) for r in self.results if r.outcome == "skipped")
        said += [f"skipped  {n} x {check}: {reason}" for (check, reason), n in sorted(skipped.items())]
        ran = len(self.results) - self.count("skipped")
        counted = Counter(result.outcome for result in self.results if result.outcome != "skipped")
        counts = ", ".join(f"{n} {outcome}" for outcome, n in counted.items())
        return [*said, f"{ran} checks ran: {counts or 'none'}; {self.count('skipped')} skipped."]

    def _summary(self, subject: Subject) -> str:
        found = Counter(result.outcome for result in self.results if result.subject == subject)
        example = next((r.example for r in self.results if r.subject == subject and r.example), "")
        return ", ".join(f"{n} {outcome}" for outcome, n in found.items()) + (f"  in {example}" if example else "")
