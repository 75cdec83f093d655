"""Parquet: every column as text, read some thousand rows at a time."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any
from uuid import UUID

from audience_client.errors import FileError, MissingExtraError, quoted
from audience_client.files.inflating import too_much_unpacked
from audience_client.files.source import Source, SourceBacked
from audience_client.files.table import MAX_COLUMNS, NO_TAIL, SAMPLE_ROWS, Block, Notice, Row
from audience_client.files.values import EXACT, LostDigitsError, text_of

MAX_GROUP = 1 << 20
"""Rows of a row group, of which the needed columns are held, compressed; what writers make unasked is at most this."""

MAX_DICTIONARIES = 32 << 20
"""Bytes of the needed columns of a row group that are dictionaries of Arrow's, each of which is held as a whole."""

BATCH = 8192

_READABLE_KINDS = (
    "is_null",
    "is_string",
    "is_large_string",
    "is_string_view",
    "is_integer",
    "is_floating",
    "is_decimal",
    "is_boolean",
    "is_date",
    "is_timestamp",
    "is_time32",
)
"""Names of the questions of `pyarrow.types`."""

READABLE = "texts, numbers, dates, booleans, UUIDs, and lists of those"


@dataclass(frozen=True, slots=True)
class _Leaf:
    """A column: its dotted name, the places of its fields from the top, and what its type is."""

    name: str
    path: tuple[int, ...]
    is_readable: bool
    is_dictionary: bool


class ParquetTable(SourceBacked):
    """A Parquet file."""

    def __init__(self, source: Source) -> None:
        self.name = source.name
        self.kind = "Parquet"
        self.unit = "row"
        self.is_checked = False
        self.tail = NO_TAIL
        self._source = source
        self._read = 0
        self.notices: tuple[Notice, ...] = ()
        with self._opened() as file:
            self._leaves = list(_leaves(file.schema_arrow))
            self.row_count: int = file.metadata.num_rows
            self._check(file)
            self.columns = tuple(leaf.name for leaf in self._leaves)
        self.samples = tuple(self._sample())

    def blocks(self, columns: Sequence[int], *, is_strict: bool = True) -> Iterator[Block]:
        """Read these columns. Raises FileError where one has a type or a number that can't be text."""
        leaves = [self._leaves[column] for column in columns]
        for leaf in leaves:
            if is_strict and not leaf.is_readable:
                problem = f"the column {quoted(leaf.name)} is of a type that can't be sent; there are {READABLE}"
                raise FileError(self.name, f"{problem}: leave it out by --ignore-column, or write it as text")
        first, self._read = 1, 0
        with self._opened() as file:
            if is_strict:
                self._check_dictionaries(file.metadata, leaves)
            for batch in file.iter_batches(BATCH, columns=self._top_names(file, leaves), use_threads=False):
                cells = [self._cells(batch, leaf, file, first, is_strict=is_strict) for leaf in leaves]
                rows: list[Row] = list(zip(*cells, strict=True)) if cells else [()] * batch.num_rows
                yield Block(range(first, first + batch.num_rows), rows)
                first += batch.num_rows
                self._read = first - 1
        self._source.check_unchanged()

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        arrow, parquet = _pyarrow(self.name)
        content = self._source.open_seekable()
        try:
            with (
                content,
                parquet.ParquetFile(
                    content, pre_buffer=False, buffer_size=1 << 18, page_checksum_verification=True
                ) as file,
            ):
                yield file
        except (arrow.ArrowException, OSError) as error:
            where = f" behind row {self._read:,}" if self._read else ""
            problem = f"is a Parquet file that is cut off or damaged{where}; write it once more"
            raise FileError(self.name, problem) from error

    def _check(self, file: Any) -> None:
        metadata = file.metadata
        largest = max((metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)), default=0)
        size = sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
        if self._source.held is not None and size > self._source.held:
            raise too_much_unpacked(self.name, self._source.held)
        if not self.row_count:
            raise FileError(self.name, "is a Parquet file without a row; write it again, or name another one")
        if largest > MAX_GROUP:
            problem = f"has a row group of {largest:,} rows, and at most {MAX_GROUP:,} are read at once"
            raise FileError(self.name, f"{problem}; write it with smaller groups (row_group_size)")
        if len({*file.schema_arrow.names}) < len(file.schema_arrow.names):
            raise FileError(self.name, "has several columns of one name; write it with a name for each")
        if len(self._leaves) > MAX_COLUMNS:
            problem = f"has {len(self._leaves):,} columns, and at most {MAX_COLUMNS} are read"
            raise FileError(self.name, f"{problem}; write only those about customers")

    def _check_dictionaries(self, metadata: Any, leaves: Sequence[_Leaf]) -> None:
        names = {leaf.name for leaf in leaves if leaf.is_dictionary}
        for group in map(metadata.row_group, range(metadata.num_row_groups) if names else ()):
            chunks = map(group.column, range(group.num_columns))
            size = sum(chunk.total_uncompressed_size for chunk in chunks if chunk.path_in_schema in names)
            if size > MAX_DICTIONARIES:
                problem = f"has more than {MAX_DICTIONARIES >> 20} MiB of dictionaries (categories) in a row group"
                raise FileError(self.name, f"{problem}; write such columns as text, or smaller groups (row_group_size)")

    def _sample(self) -> Iterator[Row]:
        rows = chain.from_iterable(block.rows for block in self.blocks(range(len(self.columns)), is_strict=False))
        for row, _ in zip(rows, range(SAMPLE_ROWS), strict=False):
            yield row

    def _top_names(self, file: Any, leaves: Sequence[_Leaf]) -> list[str]:
        return list(dict.fromkeys(file.schema_arrow.names[leaf.path[0]] for leaf in leaves if leaf.is_readable))

    def _cells(self, batch: Any, leaf: _Leaf, file: Any, first: int, *, is_strict: bool) -> list[str]:
        if not leaf.is_readable:
            return [""] * batch.num_rows
        array = batch.column(file.schema_arrow.names[leaf.path[0]])
        for place in leaf.path[1:]:
            array = _pyarrow_compute().struct_field(array, indices=[place])
        try:
            return _texts(array)
        except _NO_TEXT:
            return self._one_by_one(array, leaf, first, is_strict=is_strict)

    def _one_by_one(self, array: Any, leaf: _Leaf, first: int, *, is_strict: bool) -> list[str]:
        texts = []
        for number, value in enumerate(array, first):
            try:
                texts.append(text_of(value.as_py()))
            except _NO_TEXT as error:
                if is_strict:
                    problem = f"the value in {quoted(leaf.name)} is beyond what its type can hold, so digits are lost"
                    raise FileError(self.name, f"{problem}; write that column as text", row=number) from error
                texts.append("")
        return texts


_NO_TEXT = (LostDigitsError, ValueError, OverflowError)
"""What values raise of which there is no text: digits that are lost, dates beyond the years of Python."""


def _pyarrow(name: str) -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: PLC0415 -- an extra
        import pyarrow.parquet  # noqa: PLC0415 -- an extra
    except ImportError as error:
        raise MissingExtraError(name, "Parquet") from error
    return pyarrow, pyarrow.parquet


def _pyarrow_compute() -> Any:
    import pyarrow.compute  # noqa: PLC0415 -- an extra

    return pyarrow.compute


def _leaves(fields: Any, prefix: str = "", path: tuple[int, ...] = ()) -> Iterator[_Leaf]:
    for place, field in enumerate(fields):
        if _types().is_struct(field.type):
            yield from _leaves(field.type.fields, f"{prefix}{field.name}.", (*path, place))
        else:
            yield _Leaf(
                prefix + field.name, (*path, place), _is_readable(field.type), _types().is_dictionary(field.type)
            )


def _types() -> Any:
    import pyarrow.types  # noqa: PLC0415 -- an extra

    return pyarrow.types


def _is_readable(kind: Any) -> bool:
    types = _types()
    if types.is_dictionary(kind):
        return _is_readable(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind):
        return _is_readable(kind.value_type)
    return _is_uuid(kind) or any(getattr(types, name)(kind) for name in _READABLE_KINDS)


def _is_uuid(kind: Any) -> bool:
    return getattr(kind, "extension_name", None) == "arrow.uuid"


def _texts(given: Any) -> list[str]:
    """Return an array's values as text, by Arrow where that is what people would write. Raises what is in _NO_TEXT."""
    types, array = _types(), _simpler(given)
    kind = array.type
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _without_nulls(array)
    if types.is_integer(kind):
        return _without_nulls(array.cast("string"))
    if types.is_floating(kind) and _is_whole(array):
        return _without_nulls(array.cast("int64").cast("string"))
    if types.is_timestamp(kind) and kind.tz is not None:
        return [f"{text}+00:00" if " " in text else text for text in map(text_of, _in_utc(array).to_pylist())]
    if _is_uuid(kind):
        return ["" if value is None else str(UUID(bytes=value)) for value in array.storage.to_pylist()]
    return [text_of(value) for value in array.to_pylist()]


def _simpler(array: Any) -> Any:
    """Return an array without dictionaries, half floats and nanoseconds, which are not written as text as they are."""
    types, kind = _types(), array.type
    if types.is_dictionary(kind):
        return _simpler(array.dictionary_decode())
    if types.is_float16(kind):
        return array.cast("float32")
    if types.is_timestamp(kind) and kind.unit == "ns":
        return array.cast(_pyarrow("")[0].timestamp("us", kind.tz), safe=False)
    return array


def _in_utc(array: Any) -> Any:
    """Return times that have a zone as those of UTC, without a database of zones, which slim images lack."""
    arrow = _pyarrow("")[0]
    return array.cast(arrow.timestamp("us", array.type.tz)).cast(arrow.int64()).cast(arrow.timestamp("us"))


def _is_whole(array: Any) -> bool:
    compute = _pyarrow_compute()
    fits = compute.and_(compute.equal(compute.floor(array), array), compute.less_equal(compute.abs(array), EXACT))
    return bool(compute.all(fits, skip_nulls=True, min_count=0).as_py())


def _without_nulls(array: Any) -> list[str]:
    values: list[str] = array.to_pylist()
    return [value or "" for value in values] if array.null_count else values
