"""How a file is to be read: what a profile and an upload declare, put together."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import date, datetime

from services.chassis.currencies import currency_places
from services.ingestion.domain.debts.charsets import charset_named
from services.ingestion.domain.debts.conventions import Conventions, Signs
from services.ingestion.domain.debts.errors import ConventionsInvalid
from services.ingestion.domain.debts.header import COLUMNS, OPTIONAL, ColumnNames
from services.ingestion.domain.debts.rules import language_written


@dataclass(frozen=True, slots=True)
class Declared:
    """What is said of files; empty is not said. `columns`: names of the file and the column that each is;
    `other_columns`: the file may have columns beside."""

    columns: Mapping[str, str] = field(default_factory=dict[str, str])
    other_columns: bool = False
    charset: str = ""
    locale: str = ""
    currency: str = ""
    language: str = ""
    issuer: str = ""

    def over(self, other: "Declared") -> "Declared":
        """This, and what `other` says of what this does not."""
        return replace(
            self,
            columns=self.columns or other.columns,
            other_columns=self.other_columns or other.other_columns,
            charset=self.charset or other.charset,
            locale=self.locale or other.locale,
            currency=self.currency or other.currency,
            language=self.language or other.language,
            issuer=self.issuer or other.issuer,
        )


@dataclass(frozen=True, slots=True)
class Profile:
    """What is declared under a name."""

    id: str
    declared: Declared
    create_time: datetime


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file is read. Files with the same content and the same `key` are read alike."""

    names: ColumnNames = field(default_factory=ColumnNames)
    charset: str = charset_named("")
    conventions: Conventions = field(default_factory=Conventions)
    key: str = ""


def dialect_of(declared: Declared, signs: Signs, *, currency: str, due_from: date, due_to: date) -> Dialect:
    """The dialect that is declared; `signs` are those of its locale, `currency` that of the deployment. Raises
    ConventionsInvalid."""
    for column in declared.columns.values():
        if column not in (*COLUMNS, *OPTIONAL):
            rule = f"there is no column {column[:40]!r}; there are {', '.join((*COLUMNS, *OPTIONAL))}"
            raise ConventionsInvalid("columns", rule, column)
    if declared.currency and declared.currency not in currency_places():
        rule = f"{declared.currency[:40]!r} is no currency of ISO 4217 like EUR or BRL"
        raise ConventionsInvalid("currency", rule, declared.currency)
    conventions = Conventions(
        decimal=signs.decimal,
        grouping=signs.grouping,
        group_size=signs.group_size,
        dates=signs.dates,
        currency=declared.currency or currency,
        language=language_written(declared.language),
        issuer=declared.issuer,
        due_from=due_from,
        due_to=due_to,
    )
    said = {name: value for name, value in asdict(declared).items() if value}
    key = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:32] if said else ""
    names = ColumnNames(dict(declared.columns), declared.other_columns)
    if alike := names.alike():
        raise ConventionsInvalid("columns", f"{alike[:40]!r} is there twice: upper and lower case are one", alike)
    return Dialect(names, charset_named(declared.charset), conventions, key)
