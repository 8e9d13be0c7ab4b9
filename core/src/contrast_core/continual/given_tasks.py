"""The tasks that a data set brings itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import final

from contrast_core.interfaces import Data
from contrast_core.tasks import Task, Tasks


@final
class GivenTasks(Tasks):
    """The tasks that the data say they have (`Data.tasks`), in their order.

    Args:
        restart, measure: see `contrast_core.tasks.Tasks`.

    Raises:
        ValueError: in use, if the data say nothing of tasks.
    """

    def __init__(self, restart: bool = True, measure: Sequence[str] = ()):
        super().__init__(restart, measure)

    def of(self, data: Data) -> Sequence[Task]:
        """What the data say."""
        if not data.tasks:
            raise ValueError("These data bring no tasks of their own; core/class-tasks makes some of their classes.")
        return data.tasks
