"""`--where`: a condition in the words of SQL over the columns of the index, without a database.

Grammar: comparisons (= != <> < <= > >=) of a column with a number, a 'text', true or false; `IN (...)`, `BETWEEN a AND
b`, `IS [NOT] NULL`; joined by AND, OR, NOT and parentheses.
"""

import re
from typing import TYPE_CHECKING

from synthdata.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.compute as pc

TOKEN = re.compile(
    r"\s*(?:('(?:[^']|'')*')|(\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|([A-Za-z_]\w*)|(<=|>=|<>|!=|==|[=<>(),-]))"
)
LARGEST = 2**63 - 1  # of the whole numbers that a column may have
Literal = float | int | str | bool


def case_filter(text: str, schema: "pa.Schema") -> "pc.Expression":
    """Parse a condition.

    Args:
        text: Such as `age > 60 and lesion_count > 0`.
        schema: Of the index; each column that is named must be in it.

    Raises:
        ConfigError: The condition cannot be read, or names an unknown column; the message shows where.
    """
    parser = _Parser(text, schema)
    found = parser.either()
    parser.expect_end()
    return found


class _Parser:
    """Recursive descent: OR, AND, NOT, comparison."""

    def __init__(self, text: str, schema: "pa.Schema") -> None:
        self.text, self.schema, self.at = text, schema, 0
        self.field: pa.Field | None = None  # the column that is compared

    def either(self) -> "pc.Expression":
        found = self.both()
        while self.word("or"):
            found = found | self.both()
        return found

    def both(self) -> "pc.Expression":
        found = self.one()
        while self.word("and"):
            found = found & self.one()
        return found

    def one(self) -> "pc.Expression":
        if self.word("not"):
            return ~self.one()
        if self.sign("("):
            found = self.either()
            self.need(")")
            return found
        return self.comparison()

    def comparison(self) -> "pc.Expression":
        column = self.column()
        if self.word("is"):
            negated = self.word("not")
            if not self.word("null"):
                raise self.error("NULL")
            return column.is_valid() if negated else column.is_null()
        negated = self.word("not")
        if self.word("in"):
            found = column.isin(self.several())
        elif self.word("between"):
            low = self.literal()
            if not self.word("and"):
                raise self.error("AND")
            found = (column >= low) & (column <= self.literal())
        elif negated:
            raise self.error("IN or BETWEEN")
        else:
            return self.compared(column)
        return ~found if negated else found

    def compared(self, column: "pc.Expression") -> "pc.Expression":
        for sign in ("<=", ">=", "<>", "!=", "==", "=", "<", ">"):
            if self.sign(sign):
                value = self.literal()
                return {
                    "<=": column <= value, ">=": column >= value, "<": column < value, ">": column > value,
                    "<>": column != value, "!=": column != value,
                }.get(sign, column == value)  # fmt: skip
        raise self.error("a comparison such as = or >")

    def several(self) -> list[Literal]:
        self.need("(")
        values = [self.literal()]
        while self.sign(","):
            values.append(self.literal())
        self.need(")")
        return values

    def column(self) -> "pc.Expression":
        import pyarrow.compute as pc

        match = self.peek()
        if match is None or not match[3]:
            raise self.error("a column")
        if match[3] not in self.schema.names:
            raise ConfigError(
                f"the condition names column {match[3]!r}, the index has {', '.join(self.schema.names)}: "
                f"use one of them"
            )
        self.at, self.field = match.end(), self.schema.field(match[3])
        return pc.field(match[3])

    def literal(self) -> Literal:
        negative = self.sign("-")
        match = self.peek()
        if match is None or not (match[1] or match[2] or (match[3] or "").lower() in {"true", "false"}):
            raise self.error("a number, 'text', true or false")
        kind = "a number" if match[2] else "a 'text'" if match[1] else "true or false"
        if self.field is not None and (want := _literals(self.field.type)) != kind:
            raise ConfigError(
                f"the condition compares column {self.field.name!r} with {kind} at character {self.at + 1}, expected "
                f"{want}: mend it there"
            )
        self.at = match.end()
        if match[2]:
            whole = not re.search(r"[.eE]", match[2]) and int(match[2]) <= LARGEST
            number = int(match[2]) if whole else float(match[2])
            return -number if negative else number
        return match[1][1:-1].replace("''", "'") if match[1] else match[3].lower() == "true"

    def word(self, word: str) -> bool:
        match = self.peek()
        return self.take(match) if match is not None and (match[3] or "").lower() == word else False

    def sign(self, sign: str) -> bool:
        match = self.peek()
        return self.take(match) if match is not None and match[4] == sign else False

    def need(self, sign: str) -> None:
        if not self.sign(sign):
            raise self.error(repr(sign))

    def take(self, match: "re.Match[str]") -> bool:
        self.at = match.end()
        return True

    def peek(self) -> "re.Match[str] | None":
        return TOKEN.match(self.text, self.at)

    def expect_end(self) -> None:
        if self.text[self.at :].strip():
            raise self.error("AND, OR or the end")

    def error(self, want: str) -> ConfigError:
        rest = self.text[self.at :].strip()[:20] or "the end"
        return ConfigError(
            f"the condition has {rest!r} at character {self.at + 1}, expected {want}: mend it there"
        )


def _literals(kind: "pa.DataType") -> str:
    """What a column of a type can be compared with."""
    from pyarrow import types

    if types.is_boolean(kind):
        return "true or false"
    if types.is_integer(kind) or types.is_floating(kind):
        return "a number"
    return (
        "a 'text'" if types.is_string(kind) or types.is_large_string(kind) else "IS NULL or IS NOT NULL alone"
    )
