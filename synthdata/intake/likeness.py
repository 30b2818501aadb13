"""What was found out of a header holds for the next one where all that it was found in is the same, byte by byte.

Slices of a series share nearly all attributes, and the reader of plain files knows equal ones as one object. A step of
judging a header is a function of the attributes that it asks for; it is taken once for those, and remembered.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from synthdata.intake.header import Header, PlainHeader
from synthdata.intake.plain_file import Known

MOST_REMEMBERED = 256  # results of a step
Result = TypeVar("Result")
Answers = tuple[Hashable, tuple[Known | None, ...]]


class Likeness:
    """Results of steps by the attributes that they asked for; they are shared, so nobody may change them."""

    def __init__(self) -> None:
        self._steps: dict[str, dict[tuple[int, ...], dict[Answers, Any]]] = {}

    def of(
        self, step: str, function: Callable[[Header], Result], header: Header, *, given: Hashable = None
    ) -> Result:
        """Result of a step for a header.

        Args:
            step: Its name.
            function: Asks the header and nothing else; what it raises is raised each time.
            header: Of any file; results for plain ones are remembered.
            given: All else that decides the result.
        """
        if not isinstance(header, PlainHeader):
            return function(header)
        known = self._steps.setdefault(step, {})
        for tags, results in known.items():
            found: Result | None = results.get((given, header.answers(tags)))
            if found is not None:
                return found
        result, asked = header.watched(function)
        if asked is not None and result is not None:
            if sum(map(len, known.values())) >= MOST_REMEMBERED:
                known.clear()
            known.setdefault(asked, {})[given, header.answers(asked)] = result
        return result
