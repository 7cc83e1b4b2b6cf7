# mypy: ignore-errors
"""Columns of a request's rows to the records that the features read, compiled. `layout.py` makes the
arguments and calls it."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from riskmodel.compiled import compiled

DONE, IN_DOUBT, TWICE, MANY_TIES = range(4)
# Sources of a field that is no column of its table.
REPLACED, PERSON, SCOPE, AREA, SINCE = -1, -2, -3, -4, -10
# Forms of a field: a number, a day, a day of birth (as yyyymmdd).
NUMBER, DAY, BIRTH = range(3)
EPOCH = 719163  # ordinal of 1970-01-01
NEVER = 2**31 - 1
TIES_AT_MOST = 64  # rows of one owner and day that are compared by their ids here

_WHOLE = "i8"
# One table: which of its columns holds what (-1: none). event: 1 for event tables.
TABLE: Final = np.dtype([(name, _WHOLE) for name in ("known", "occurred", "household", "member", "event")])
# One kind of record: the table whose rows it holds, whose they are (0 a household, 1 a person, 2 an area),
# bytes of a record, its fields.
KIND: Final = np.dtype([(name, _WHOLE) for name in ("table", "owner", "size", "first_field", "last_field")])
# One field of a record: first byte, bytes (8: float, 4 and 1: whole), column or another source, form.
FIELD: Final = np.dtype([(name, _WHOLE) for name in ("offset", "width", "source", "form")])
# One table of a request: number of rows; its first cell, row, event id, and key of an event (-1: every
# event id is used once).
PART: Final = np.dtype([(name, _WHOLE) for name in ("height", "cell", "row", "id", "key")])


class Contract(NamedTuple):
    """The contract as arrays, made once.

    tables, kinds, fields: records of TABLE, KIND and FIELD. pairs (n, 3): a table and two date columns,
    the first of which must not be
    after the second. dates (n, 2): a table and a date column. states (5): columns of members about which
    is worked out since when they hold,
    labour last, and the first code that means no labour. named (3): the tables households, members,
    shocks. years (2): first and last day.
    """

    tables: npt.NDArray[np.void]
    kinds: npt.NDArray[np.void]
    fields: npt.NDArray[np.void]
    pairs: npt.NDArray[np.int64]
    dates: npt.NDArray[np.int64]
    states: npt.NDArray[np.int64]
    named: npt.NDArray[np.int64]
    years: npt.NDArray[np.int64]


class Columns(NamedTuple):
    """The rows of a request, column by column.

    parts: records of PART. cells: all columns of all tables one after the other: numbers, positions of
    codes, days as ordinals, positions
    of owners (-1: not among those asked about); NaN is missing. keys: a number for each event id of
    tables that use some more than once.
    ids: bytes of all event ids, empty where the rows are in their order already; id_ends: where each ends.
    areas (rows of households, 6): positions of the three areas among the areas, and among those of
    area-wide shocks.
    wide (rows of shocks, 2): position of the area of an area-wide shock and its scope; -1 and 0 for others.
    checked: whether the full checks have accepted corrections that change their owner.
    """

    parts: npt.NDArray[np.void]
    cells: npt.NDArray[np.float64]
    keys: npt.NDArray[np.int64]
    ids: npt.NDArray[np.uint8]
    id_ends: npt.NDArray[np.int64]
    areas: npt.NDArray[np.int64]
    wide: npt.NDArray[np.int64]
    checked: bool


class Records(NamedTuple):
    """What is laid out. as_f8, as_i4, as_i1: the same bytes. at (kinds): first byte of each kind of record.

    starts: for each kind, from `start_at` on, the first record of each owner, and the number of records.
    """

    as_f8: npt.NDArray[np.float64]
    as_i4: npt.NDArray[np.int32]
    as_i1: npt.NDArray[np.int8]
    at: npt.NDArray[np.int64]
    starts: npt.NDArray[np.int64]
    start_at: npt.NDArray[np.int64]


@compiled
def strange_ids(ids, ends):
    """Positions of ids (bytes of one after the other, and where each ends) that are not plainly right.

    Plain are 1 to 64 letters, digits, `_` and `-`, a letter or digit among them, without the `E-` of a
    shortened number, and of another form than phone numbers (11 digits) and identity numbers (18 signs, 17 of
    them digits). The others need a closer look.
    """
    found = np.empty(len(ends), np.int64)
    n = 0
    start = 0
    for number in range(len(ends)):
        stop = ends[number]
        length = stop - start
        plain, exponent = True, False
        digits = letters = 0
        for place in range(start, stop):
            byte = ids[place]
            if 48 <= byte <= 57:
                digits += 1
            elif 65 <= byte <= 90 or 97 <= byte <= 122:
                letters += 1
            elif (byte != 95 and byte != 45) or (byte == 45 and exponent):
                plain = False
            exponent = byte == 69 or byte == 101
        if digits + letters == 0 or (length == 11 and digits == 11) or (length == 18 and digits >= 17):
            plain = False
        if length > 64 or not plain:
            found[n] = number
            n += 1
        start = stop
    return found[:n]


@compiled
def lay_out(contract, columns, records):
    """Check the contract's rules for days and owners, and write the columns into the records of the features.

    Returns DONE; IN_DOUBT where a rule is broken; TWICE where two rows of one key became known on the same
    day; MANY_TIES where many rows differ in their ids only: then they have to be in the order of their ids.
    """
    if not rules_kept(contract, columns):
        return IN_DOUBT
    total = 0
    for number in range(len(columns.parts)):
        total += columns.parts[number].height
    replaced = np.full(total, NEVER, np.int64)
    found = replaced_on(contract, columns, replaced)
    if found != DONE:
        return found
    since = states_since(contract, columns)
    for number in range(len(contract.kinds)):
        rows, whole = sorted_rows(contract, columns, records, number)
        if not whole:
            return MANY_TIES
        write(contract, columns, records, number, rows, replaced, since)
    return DONE


@compiled
def rules_kept(contract, columns):
    """Whether every day is in the years of the contract, pairs of days are in order, and every owner is
    asked about."""
    cells = columns.cells
    for number in range(len(contract.dates)):
        part = columns.parts[contract.dates[number, 0]]
        first = part.cell + contract.dates[number, 1] * part.height
        for cell in range(first, first + part.height):
            if cells[cell] < contract.years[0] or cells[cell] > contract.years[1]:
                return False
    for number in range(len(contract.pairs)):
        part = columns.parts[contract.pairs[number, 0]]
        one = part.cell + contract.pairs[number, 1] * part.height
        other = part.cell + contract.pairs[number, 2] * part.height
        for row in range(part.height):
            if cells[one + row] > cells[other + row]:
                return False
    for number in range(len(contract.tables)):
        table, part = contract.tables[number], columns.parts[number]
        for column in (table.household, table.member):
            # people who lived elsewhere at some time: their rows there are read, those
            # households' are not needed
            if column < 0 or (number == contract.named[1] and column == table.household):
                continue
            first = part.cell + column * part.height
            for cell in range(first, first + part.height):
                if cells[cell] < 0:
                    return False
    return True


@compiled
def replaced_on(contract, columns, replaced):
    """For each row the day (since 1970) from which a later row of its key is in force, into `replaced`.

    Returns DONE; TWICE where two rows of one key became known on the same day; IN_DOUBT where a
    correction has another owner.
    """
    cells = columns.cells
    for number in range(len(contract.tables)):
        table, part = contract.tables[number], columns.parts[number]
        height = part.height
        if height == 0 or (table.event == 1 and part.key < 0):
            continue
        known = part.cell + table.known * height
        # a state is that of a member, or else of a household
        owner = part.cell + (table.member if number == contract.named[1] else table.household) * height
        order = np.empty(height, np.int64)
        for row in range(height):
            key = columns.keys[part.key + row] if table.event == 1 else np.int64(cells[owner + row])
            order[row] = key << 24 | np.int64(cells[known + row])
        ranked = np.argsort(order, kind="mergesort")
        for place in range(1, height):
            before, row = ranked[place - 1], ranked[place]
            if order[before] == order[row]:
                return TWICE
            if order[before] >> 24 == order[row] >> 24:
                if (
                    table.event == 1
                    and not columns.checked
                    and not same_owner(contract, columns, number, before, row)
                ):
                    return IN_DOUBT
                replaced[part.row + before] = (order[row] & 0xFFFFFF) - EPOCH
    return DONE


@compiled
def same_owner(contract, columns, number, one, other):
    """Whether two rows of a table are about the same household, member and area."""
    table, part = contract.tables[number], columns.parts[number]
    if number == contract.named[2] and columns.wide[one, 0] != columns.wide[other, 0]:
        return False
    for column in (table.household, table.member):
        if column >= 0:
            at = part.cell + column * part.height
            first, second = columns.cells[at + one], columns.cells[at + other]
            if first != second and not (np.isnan(first) and np.isnan(second)):
                return False
    return True


@compiled
def states_since(contract, columns):
    """For each row of members since which day (since 1970; 0: from the beginning) each of four states has
    held without a break."""
    cells = columns.cells
    table, part = contract.tables[contract.named[1]], columns.parts[contract.named[1]]
    height = part.height
    since = np.zeros((height, 4), np.int64)
    keys = np.empty(height, np.int64)
    for row in range(height):
        person = np.int64(cells[part.cell + table.member * height + row])
        keys[row] = person << 24 | np.int64(cells[part.cell + table.known * height + row])
    order = np.argsort(keys, kind="mergesort")
    for place in range(1, height):
        row, before = order[place], order[place - 1]
        if keys[row] >> 24 != keys[before] >> 24:
            continue
        for state in range(4):
            column = part.cell + contract.states[state] * height
            now, then = cells[column + row], cells[column + before]
            same = now == then
            if state == 3:  # labour: whether somebody can work
                same = (now >= contract.states[4]) == (then >= contract.states[4])
            since[row, state] = since[before, state] if same else (keys[row] & 0xFFFFFF) - EPOCH
    return since


@compiled
def sorted_rows(contract, columns, records, number):
    """Rows of one kind of record in canonical order (owner, day, day known, id), and whether that order
    could be made.

    The owners are counted into `records.starts`.
    """
    kind = contract.kinds[number]
    table, part = contract.tables[kind.table], columns.parts[kind.table]
    cells, height = columns.cells, part.height
    shocks, wide = kind.table == contract.named[2], kind.owner == 2
    owners = part.cell + (table.member if kind.owner == 1 else table.household) * height
    middle = table.member if kind.table == contract.named[1] else table.occurred
    begin = records.start_at[number]
    chosen, keys = np.empty(height, np.int64), np.empty(height, np.int64)
    n = 0
    for row in range(height):
        if shocks and (columns.wide[row, 0] >= 0) != wide:
            continue
        owner = columns.wide[row, 0] if wide else np.int64(cells[owners + row])
        if owner < 0:  # where a member lived elsewhere
            continue
        between = np.int64(cells[part.cell + middle * height + row]) if middle >= 0 else 0
        chosen[n] = row
        keys[n] = owner << 42 | between << 21 | np.int64(cells[part.cell + table.known * height + row])
        records.starts[begin + owner + 1] += 1
        n += 1
    for place in range(begin + 1, records.start_at[number + 1]):
        records.starts[place] += records.starts[place - 1]
    keys, chosen = keys[:n], chosen[:n]
    for place in range(1, n):
        if keys[place] < keys[place - 1]:
            order = np.argsort(keys, kind="mergesort")
            keys, chosen = keys[order], chosen[order]
            break
    whole = (
        table.event == 0
        or len(columns.ids) == 0
        or ties_by_id(keys, chosen, part.id, columns.ids, columns.id_ends)
    )
    return chosen, whole


@compiled
def ties_by_id(keys, rows, first, ids, ends):
    """Put rows of equal keys into the order of their ids; False: too many are equal. first: number of the
    first row's id."""
    place = 1
    while place < len(keys):
        start = place - 1
        while place < len(keys) and keys[place] == keys[start]:
            if place - start >= TIES_AT_MOST:
                return False
            moved, at = rows[place], place
            while at > start and earlier_id(ids, ends, first + moved, first + rows[at - 1]):
                rows[at] = rows[at - 1]
                at -= 1
            rows[at] = moved
            place += 1
        place += 1
    return True


@compiled
def earlier_id(ids, ends, one, other):
    """Whether one id comes before another in the order of their bytes."""
    start = ends[one - 1] if one > 0 else 0
    begin = ends[other - 1] if other > 0 else 0
    length, width = ends[one] - start, ends[other] - begin
    for place in range(min(length, width)):
        if ids[start + place] != ids[begin + place]:
            return ids[start + place] < ids[begin + place]
    return length < width


@compiled
def write(contract, columns, records, number, rows, replaced, since):
    """Write the records of one kind."""
    kind = contract.kinds[number]
    values = np.empty(len(rows), np.float64)
    for at in range(kind.first_field, kind.last_field):
        field = contract.fields[at]
        gather(values, contract, columns, kind.table, field.source, rows, replaced, since)
        if field.form == DAY:
            for place in range(len(values)):
                values[place] = NEVER if np.isnan(values[place]) else values[place] - EPOCH
        elif field.form == BIRTH:
            for place in range(len(values)):
                values[place] = birth_of(np.int64(values[place]) - EPOCH)
        first = records.at[number] + field.offset
        if field.width == 8:
            fill(records.as_f8, first >> 3, kind.size >> 3, values)
        elif field.width == 4:
            fill_whole(records.as_i4, first >> 2, kind.size >> 2, values)
        else:
            fill_whole(records.as_i1, first, kind.size, values)


@compiled
def gather(values, contract, columns, number, source, rows, replaced, since):
    """One field's values of the given rows of a table, into `values`: a column, or what is worked out."""
    part = columns.parts[number]
    if source >= 0 or source == PERSON:
        column = source if source >= 0 else contract.tables[number].member
        cells = columns.cells[part.cell + column * part.height :]
        for place in range(len(rows)):
            values[place] = cells[rows[place]]
    elif source == REPLACED:
        days = replaced[part.row :]
        for place in range(len(rows)):
            values[place] = days[rows[place]]
    elif source == SCOPE:
        for place in range(len(rows)):
            values[place] = columns.wide[rows[place], 1]
    elif source <= SINCE:
        for place in range(len(rows)):
            values[place] = since[rows[place], SINCE - source]
    else:
        for place in range(len(rows)):
            values[place] = columns.areas[rows[place], AREA - source]


@compiled
def fill(field, first, step, values):
    """Values into one field of records that are `step` apart."""
    for place in range(len(values)):
        field[first + place * step] = values[place]


@compiled
def fill_whole(field, first, step, values):
    """Whole numbers into one field of records that are `step` apart; -1 for what is missing."""
    for place in range(len(values)):
        value = values[place]
        field[first + place * step] = -1 if np.isnan(value) else np.int64(value)


@compiled
def birth_of(days):
    """Days since 1970-01-01 as yyyymmdd."""
    shifted = days + 719468
    era = shifted // 146097
    of_era = shifted - era * 146097
    year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
    of_year = of_era - (365 * year + year // 4 - year // 100)
    part = (5 * of_year + 2) // 153
    day = of_year - (153 * part + 2) // 5 + 1
    month = part + 3 if part < 10 else part - 9
    return (year + era * 400 + (1 if month <= 2 else 0)) * 10000 + month * 100 + day
