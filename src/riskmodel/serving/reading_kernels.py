# mypy: ignore-errors
"""Bytes of a scoring request to rows for the feature kernel, compiled: what takes Python a millisecond a household takes it tens of microseconds.

`read` walks through the JSON once and stops at the first thing that is not plainly right; it never says what is wrong. `build` sorts, finds
out when rows are replaced, and lays the records out. What the arguments hold is described in `reading.py`, which alone calls them.
"""

# The compiler wants plain loops and comparisons.
# ruff: noqa: SIM109, SIM110

from __future__ import annotations

import numpy as np

from riskmodel.compiled import compiled

PROBES = (
    64  # slots looked at before giving up: nobody can make a table of ids slow by choosing ids that collide
)
VERSIONS = 64  # rows of one key, the same
FIRST_YEAR, LAST_YEAR = 1880, 2100
# the first day of each month, in days since 1970-01-01
MONTHS = (
    np.arange(f"{FIRST_YEAR}-01", f"{LAST_YEAR + 1}-02", dtype="datetime64[M]")
    .astype("datetime64[D]")
    .astype(np.int64)
)
STRING, ID_EVENT, ID_HOUSEHOLD, ID_MEMBER, AREA, DATE, MONEY, INTEGER, BOOLEAN, CODE, CODES, TEXT, LETTER = (
    range(13)
)


@compiled
def blank(body, at):
    """Place of the next byte that is not white space; len(body) at the end."""
    while at < len(body):
        byte = body[at]
        if byte != 32 and byte != 10 and byte != 13 and byte != 9:
            break
        at += 1
    return at


@compiled
def string_end(body, at):
    """Place of the closing quote of a string that begins at `at`; -1 for escapes, control bytes and an end that does not come."""
    while at < len(body):
        byte = body[at]
        if byte == 34:
            return at
        if byte == 92 or byte < 32:
            return -1
        at += 1
    return -1


@compiled
def same(body, start, stop, pool, pool_start, pool_stop):
    """Whether bytes of the body are these bytes of the pool."""
    if stop - start != pool_stop - pool_start:
        return False
    for place in range(stop - start):
        if body[start + place] != pool[pool_start + place]:
            return False
    return True


@compiled
def intern(body, start, stop, space, slots, starts, stops, spaces, count):
    """Number of an id in its name space: an old one, or `count` for a new one; -1 when too many ids collide or there is no room."""
    mask = len(slots) - 1
    mixed = np.uint64(14695981039346656037) ^ np.uint64(space)
    for place in range(start, stop):
        mixed = (mixed ^ np.uint64(body[place])) * np.uint64(1099511628211)
    mixed ^= mixed >> np.uint64(29)
    slot = np.int64(mixed & np.uint64(mask))
    for _ in range(PROBES):
        number = slots[slot]
        if number < 0:
            if count >= len(starts):
                return -1
            slots[slot] = count
            starts[count], stops[count], spaces[count] = start, stop, space
            return count
        if spaces[number] == space and stops[number] - starts[number] == stop - start:
            equal = True
            first = starts[number]
            for place in range(stop - start):
                if body[first + place] != body[start + place]:
                    equal = False
                    break
            if equal:
                return number
        slot = (slot + 1) & mask
    return -1


@compiled
def plain_id(body, start, stop):
    """Letters, digits, _ and -, and nothing that could be an identity number or a number that a spreadsheet has spoilt."""
    if stop <= start or stop - start > 200:
        return False
    word = False
    others = 0
    exponent = False
    for place in range(start, stop):
        byte = body[place]
        digit = 48 <= byte <= 57
        letter = 65 <= byte <= 90 or 97 <= byte <= 122
        if not (digit or letter or byte == 95 or byte == 45):
            return False
        if not digit:
            others += 1
            if byte == 69 or byte == 101:
                exponent = start < place < stop - 1
            elif byte != 88 and byte != 120 and byte != 45:
                word = True
    return word or (stop - start != 11 and stop - start != 18 and not (others == 1 and exponent))


@compiled
def plain_text(body, start, stop):
    """0: nothing, or too long; 1: short printable ASCII without a long number; 2: to be looked at."""
    if stop <= start or stop - start > 600:
        return 0
    digits = 0
    for place in range(start, stop):
        byte = body[place]
        digits = digits + 1 if 48 <= byte <= 57 else 0
        if byte > 126 or digits >= 11:
            return 2
    if stop - start > 40 or body[start] == 32 or body[stop - 1] == 32:
        return 2
    return 1


@compiled
def day_of(body, start, stop):
    """Days since 1970-01-01 of YYYY-MM-DD in the years of the contract; -2**40 for anything else."""
    wrong = -1099511627776
    if stop - start != 10 or body[start + 4] != 45 or body[start + 7] != 45:
        return wrong
    for place in range(10):
        if place != 4 and place != 7 and (body[start + place] < 48 or body[start + place] > 57):
            return wrong
    year = 1000 * body[start] + 100 * body[start + 1] + 10 * body[start + 2] + body[start + 3] - 1111 * 48
    month = 10 * body[start + 5] + body[start + 6] - 11 * 48
    day = 10 * body[start + 8] + body[start + 9] - 11 * 48
    if year < FIRST_YEAR or year > LAST_YEAR or month < 1 or month > 12:
        return wrong
    begin = MONTHS[12 * (year - FIRST_YEAR) + month - 1]
    if day < 1 or day > MONTHS[12 * (year - FIRST_YEAR) + month] - begin:
        return wrong
    return begin + day - 1


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


@compiled
def number_at(body, at, tens):
    """(end, value, kind) of a number that is not negative: kind 0 no such number, 1 whole, 2 exact, 3 to be read by Python for its last bit."""
    start = at
    mantissa = 0
    digits = 0
    scale = 0
    whole = True
    while at < len(body) and 48 <= body[at] <= 57:
        mantissa = mantissa * 10 + (body[at] - 48) if digits < 18 else mantissa
        digits += 1 if digits > 0 or body[at] != 48 else 0
        at += 1
    if at == start or (at - start > 1 and body[start] == 48):
        return at, 0.0, 0
    if at < len(body) and body[at] == 46:
        whole = False
        at += 1
        begin = at
        while at < len(body) and 48 <= body[at] <= 57:
            if digits < 18:
                mantissa = mantissa * 10 + (body[at] - 48)
                scale += 1
            digits += 1 if digits > 0 or body[at] != 48 else 0
            at += 1
        if at == begin:
            return at, 0.0, 0
    if at < len(body) and (body[at] == 101 or body[at] == 69):
        at += 1
        if at < len(body) and (body[at] == 43 or body[at] == 45):
            at += 1
        begin = at
        while at < len(body) and 48 <= body[at] <= 57:
            at += 1
        return at, 0.0, 3 if at > begin else 0
    if whole:
        return at, float(mantissa), 1 if digits <= 15 else 3
    if digits <= 15 and scale <= 22:
        return at, mantissa / tens[scale], 2
    return at, 0.0, 3


@compiled
def read(
    body, at, pool, table_start, table_stop, table_first, table_last, key_start, key_stop, kind, optional, code_first, code_last,
    code_start, code_stop, low, high, key_column, known_column, tens,
    cells, row_table, keyed, starts, stops, spaces, slots, hard, texts, of_table, counts,
):  # fmt: skip
    """Read the object of tables that begins at `at`. Returns the place behind it; -1 where something is not plainly right.

    cells (rows, columns): numbers, days, places of codes, numbers of ids; NaN missing. row_table, keyed (rows): its table, the number of its key.
    starts, stops, spaces (ids): where each id stands; name space 0 households, 1 members, 2 + t events of table t. hard (n, 4): numbers that Python reads
    (row, column, start, stop). texts (n, 2): texts to be looked at. of_table (tables, 2): first and last row; -1 absent. counts: rows, ids, hard, texts.
    """
    rows = 0
    ids = 0
    hards = 0
    looks = 0
    last_household = -1
    last_member = -1
    at = blank(body, at)
    if at >= len(body) or body[at] != 123:
        return -1
    at = blank(body, at + 1)
    if at < len(body) and body[at] == 125:
        return -1
    while True:
        if at >= len(body) or body[at] != 34:
            return -1
        end = string_end(body, at + 1)
        if end < 0:
            return -1
        table = -1
        for number in range(len(table_start)):
            if same(body, at + 1, end, pool, table_start[number], table_stop[number]):
                table = number
                break
        if table < 0 or of_table[table, 0] >= 0:
            return -1
        at = blank(body, end + 1)
        if at >= len(body) or body[at] != 58:
            return -1
        at = blank(body, at + 1)
        if (
            at + 4 < len(body)
            and body[at] == 110
            and body[at + 1] == 117
            and body[at + 2] == 108
            and body[at + 3] == 108
        ):
            at = blank(body, at + 4)
        else:
            if at >= len(body) or body[at] != 91:
                return -1
            at = blank(body, at + 1)
            of_table[table, 0] = rows
            first = table_first[table]
            width = table_last[table] - first
            if at < len(body) and body[at] == 93:
                at = blank(body, at + 1)
            else:
                while True:
                    if at >= len(body) or body[at] != 123 or rows >= len(row_table):
                        return -1
                    row_table[rows] = table
                    for column in range(cells.shape[1]):
                        cells[rows, column] = np.nan
                    seen = 0
                    guess = 0
                    at = blank(body, at + 1)
                    while True:
                        if at >= len(body) or body[at] != 34:
                            return -1
                        column = -1
                        if guess < width:  # rows of a table mostly name their columns in the same order
                            end = at + 1 + key_stop[first + guess] - key_start[first + guess]
                            if (
                                end < len(body)
                                and body[end] == 34
                                and same(
                                    body, at + 1, end, pool, key_start[first + guess], key_stop[first + guess]
                                )
                            ):
                                column = guess
                        if column < 0:
                            end = string_end(body, at + 1)
                            if end < 0:
                                return -1
                            for tried in range(width):
                                if same(
                                    body, at + 1, end, pool, key_start[first + tried], key_stop[first + tried]
                                ):
                                    column = tried
                                    break
                        if column < 0 or (seen >> column) & 1:
                            return -1
                        seen |= 1 << column
                        guess = column + 1
                        at = blank(body, end + 1)
                        if at >= len(body) or body[at] != 58:
                            return -1
                        at = blank(body, at + 1)
                        if at + 5 >= len(body):
                            return -1
                        what = kind[first + column]
                        byte = body[at]
                        if byte == 110:
                            if (
                                not (body[at + 1] == 117 and body[at + 2] == 108 and body[at + 3] == 108)
                                or not optional[first + column]
                            ):
                                return -1
                            at += 4
                        elif byte == 34:
                            start = at + 1
                            if what == DATE and at + 11 < len(body) and body[at + 11] == 34:
                                end = at + 11  # whatever stands between is looked at byte by byte
                            else:
                                end = string_end(body, start)
                            if end < 0:
                                return -1
                            at = end + 1
                            if what == ID_HOUSEHOLD or what == ID_MEMBER:
                                number = last_household if what == ID_HOUSEHOLD else last_member
                                if number >= 0 and same(
                                    body, start, end, body, starts[number], stops[number]
                                ):
                                    pass
                                else:
                                    if not plain_id(body, start, end):
                                        return -1
                                    space = 0 if what == ID_HOUSEHOLD else 1
                                    number = intern(
                                        body, start, end, space, slots, starts, stops, spaces, ids
                                    )
                                    if number < 0:
                                        return -1
                                    if number == ids:
                                        ids += 1
                                    if what == ID_HOUSEHOLD:
                                        last_household = number
                                    else:
                                        last_member = number
                                cells[rows, column] = number
                            elif what == ID_EVENT:
                                if not plain_id(body, start, end):
                                    return -1
                                number = intern(
                                    body, start, end, 2 + table, slots, starts, stops, spaces, ids
                                )
                                if number < 0:
                                    return -1
                                if number == ids:
                                    ids += 1
                                cells[rows, column] = number
                            elif what == DATE:
                                day = day_of(body, start, end)
                                if day < -1000000:
                                    return -1
                                cells[rows, column] = day
                            elif what == CODE:
                                found = -1
                                for number in range(code_first[first + column], code_last[first + column]):
                                    if body[start] == pool[code_start[number]] and same(
                                        body, start, end, pool, code_start[number], code_stop[number]
                                    ):
                                        found = number - code_first[first + column]
                                        break
                                if found < 0:
                                    return -1
                                cells[rows, column] = found
                            elif what == AREA:
                                if end - start < low[first + column] or end - start > high[first + column]:
                                    return -1
                                if (end - start) % 3 != 0 or body[start] == 48:
                                    return -1
                                code = 0
                                for place in range(start, end):
                                    if body[place] < 48 or body[place] > 57:
                                        return -1
                                    code = code * 10 + (body[place] - 48)
                                cells[rows, column] = code
                            elif what == CODES:
                                begin = start
                                newest = -1
                                while begin <= end:
                                    stop = begin
                                    while stop < end and body[stop] != 59:
                                        stop += 1
                                    found = -1
                                    for number in range(
                                        code_first[first + column], code_last[first + column]
                                    ):
                                        if same(
                                            body, begin, stop, pool, code_start[number], code_stop[number]
                                        ):
                                            found = number
                                            break
                                    if found <= newest:
                                        return -1
                                    newest = found
                                    begin = stop + 1
                                if end - start > 200:
                                    return -1
                            elif what == TEXT or what == LETTER:
                                looked = plain_text(body, start, end)
                                if looked == 0 or (looked == 2 and (what == LETTER or looks >= len(texts))):
                                    return -1
                                if looked == 2:
                                    texts[looks, 0], texts[looks, 1] = start, end
                                    looks += 1
                                if what == LETTER:
                                    letter = body[start]
                                    if 97 <= letter <= 122:
                                        letter -= 32
                                    cells[rows, column] = letter - 65 if 65 <= letter <= 90 else -1
                            else:
                                return -1
                        elif byte == 116 or byte == 102:
                            if what != BOOLEAN:
                                return -1
                            if (
                                byte == 116
                                and body[at + 1] == 114
                                and body[at + 2] == 117
                                and body[at + 3] == 101
                            ):
                                cells[rows, column] = 1.0
                                at += 4
                            elif (
                                byte == 102
                                and body[at + 1] == 97
                                and body[at + 2] == 108
                                and body[at + 3] == 115
                                and body[at + 4] == 101
                            ):
                                cells[rows, column] = 0.0
                                at += 5
                            else:
                                return -1
                        else:
                            start = at
                            at, value, exact = number_at(body, at, tens)
                            if (
                                exact == 0
                                or (what != MONEY and what != INTEGER)
                                or (what == INTEGER and exact != 1)
                            ):
                                return -1
                            if exact == 3:
                                if hards >= len(hard):
                                    return -1
                                hard[hards, 0], hard[hards, 1], hard[hards, 2], hard[hards, 3] = (
                                    rows,
                                    column,
                                    start,
                                    at,
                                )
                                hards += 1
                            elif value < low[first + column] or value > high[first + column]:
                                return -1
                            cells[rows, column] = value
                        at = blank(body, at)
                        if at >= len(body):
                            return -1
                        if body[at] == 125:
                            break
                        if body[at] != 44:
                            return -1
                        at = blank(body, at + 1)
                    for column in range(width):
                        if not (seen >> column) & 1 and not optional[first + column]:
                            return -1
                    keyed[rows] = np.int64(cells[rows, key_column[table]])
                    rows += 1
                    at = blank(body, at + 1)
                    if at >= len(body):
                        return -1
                    if body[at] == 93:
                        at = blank(body, at + 1)
                        break
                    if body[at] != 44:
                        return -1
                    at = blank(body, at + 1)
            of_table[table, 1] = rows
        if at >= len(body):
            return -1
        if body[at] == 125:
            at += 1
            break
        if body[at] != 44:
            return -1
        at = blank(body, at + 1)
    counts[0], counts[1], counts[2], counts[3] = rows, ids, hards, looks
    return at


@compiled
def judge(
    cells, row_table, keyed, of_table, rows, household_column, member_column, occurred_column, known_column, in_order, households, members,
    shocks, area_columns, birth_column, area_column, defined, head, previous, replaced, never,
):  # fmt: skip
    """What the contract says about whole rows and about rows together. True: all is plainly right.

    defined (ids): 1 a household or member that its own table names. replaced (rows): the day on which another row takes its place; DROPPED: it came twice. in_order
    (tables): 1 where known_on may not lie before occurred_on.
    """
    for row in range(of_table[households, 0], of_table[households, 1]):
        defined[np.int64(cells[row, household_column[households]])] = 1
        county, township, village = (
            cells[row, area_columns[0]],
            cells[row, area_columns[1]],
            cells[row, area_columns[2]],
        )
        if np.floor(township / 1000) != county or np.floor(village / 1000) != township:
            return False
    elsewhere = False
    for row in range(of_table[members, 0], of_table[members, 1]):
        if cells[row, birth_column] > cells[row, known_column[members]]:
            return False
        if defined[np.int64(cells[row, household_column[members]])] == 1:
            defined[np.int64(cells[row, member_column[members]])] = 1
        else:
            elsewhere = True
    if (
        elsewhere
    ):  # people who lived elsewhere at some time: their rows there are read, the household's are not needed
        for row in range(of_table[members, 0], of_table[members, 1]):
            if defined[np.int64(cells[row, member_column[members]])] == 0:
                return False
    for row in range(rows):
        table = row_table[row]
        known = cells[row, known_column[table]]
        if in_order[table] and known < cells[row, occurred_column[table]]:
            return False
        if table != households and table != members:
            if household_column[table] >= 0:
                owner = cells[row, household_column[table]]
                if np.isnan(owner):
                    if table == shocks and np.isnan(cells[row, area_column]):
                        return False
                else:
                    if defined[np.int64(owner)] == 0:
                        return False
            if member_column[table] >= 0:
                person = cells[row, member_column[table]]
                if not np.isnan(person) and defined[np.int64(person)] == 0:
                    return False
        replaced[row] = never
        before = head[keyed[row]]
        if before >= 0 and row_table[before] == table:
            previous[row] = before
            links = 0
            if table != households and table != members:  # a correction keeps its owner
                if member_column[table] >= 0 and not equal(
                    cells[row, member_column[table]], cells[before, member_column[table]]
                ):
                    return False
                if household_column[table] >= 0 and not equal(
                    cells[row, household_column[table]], cells[before, household_column[table]]
                ):
                    return False
                if table == shocks and not equal(cells[row, area_column], cells[before, area_column]):
                    return False
            while before >= 0:
                then = cells[before, known_column[table]]
                if then == known:
                    # An area-wide shock that came with several households counts once; anything else twice is for the slow way.
                    if table != shocks or not alike(cells, row, before):
                        return False
                    replaced[row] = DROPPED
                    break
                if then < known and known < replaced[before]:
                    replaced[before] = np.int64(known)
                if then > known and then < replaced[row]:
                    replaced[row] = np.int64(then)
                before = previous[before]
                links += 1
                if links > VERSIONS:
                    return False
            if replaced[row] == DROPPED:
                continue
        else:
            previous[row] = -1
        head[keyed[row]] = row
    return True


DROPPED = -1


@compiled
def equal(one, other):
    """Whether two cells hold the same, or both nothing."""
    return one == other or (np.isnan(one) and np.isnan(other))


@compiled
def alike(cells, row, other):
    """Whether two rows hold the same in every cell."""
    for column in range(cells.shape[1]):
        one, two = cells[row, column], cells[other, column]
        if not equal(one, two):
            return False
    return True


@compiled
def earlier(body, first_start, first_stop, second_start, second_stop):
    """Whether the first of two ids comes before the second."""
    for place in range(min(first_stop - first_start, second_stop - second_start)):
        one, other = body[first_start + place], body[second_start + place]
        if one != other:
            return one < other
    return first_stop - first_start < second_stop - second_start


@compiled
def sorted_rows(keys, chosen, keyed, starts, stops, body, by_event):
    """`chosen` rows by `keys`, equal ones by their event's id. Empty when too many are equal."""
    ordered = True
    for place in range(1, len(keys)):
        if keys[place] < keys[place - 1]:
            ordered = False
            break
    order = np.arange(len(keys))
    if not ordered:
        order = np.argsort(keys, kind="mergesort")
    out = chosen[order]
    if by_event:
        place = 1
        while place < len(keys):
            if keys[order[place]] == keys[order[place - 1]]:
                first = place - 1
                last = place
                while last < len(keys) and keys[order[last]] == keys[order[first]]:
                    last += 1
                if last - first > 256:
                    return out[:0]
                for number in range(first + 1, last):
                    moved = out[number]
                    at = number
                    event = keyed[moved]
                    while at > first:
                        other = keyed[out[at - 1]]
                        if not earlier(body, starts[event], stops[event], starts[other], stops[other]):
                            break
                        out[at] = out[at - 1]
                        at -= 1
                    out[at] = moved
                place = last
            else:
                place += 1
    return out


@compiled
def since(
    cells, first, last, rank, member_column, known_column, state_columns, labour_column, unable_from, out
):
    """For each row of members since when each of four states has held without a break (0: from the beginning), into `out` (rows, 4)."""
    keys = np.empty(last - first, np.int64)
    for row in range(first, last):
        person = np.int64(rank[np.int64(cells[row, member_column])])
        keys[row - first] = (person << 20) | np.int64(cells[row, known_column] + 65536)
    order = np.argsort(keys, kind="mergesort")
    for place in range(len(order)):
        row = first + order[place]
        fresh = place == 0 or keys[order[place]] >> 20 != keys[order[place - 1]] >> 20
        before = row if fresh else first + order[place - 1]
        for state in range(4):
            if state < 3:
                now, then = cells[row, state_columns[state]], cells[before, state_columns[state]]
            else:
                now = 1.0 if cells[row, labour_column] >= unable_from else 0.0
                then = 1.0 if cells[before, labour_column] >= unable_from else 0.0
            if fresh:
                out[row - first, state] = 0
            elif now != then:
                out[row - first, state] = np.int64(cells[row, known_column])
            else:
                out[row - first, state] = out[before - first, state]


REPLACED, PERSON, SCOPE, PLACE, SINCE = -1, -2, -3, -4, -10


@compiled
def build(
    body, cells, row_table, keyed, starts, stops, of_table, replaced, rank, household_column, member_column, occurred_column, known_column,
    owner_kind, by_event, households, members, shocks, area_column, places, wide_place, since_of,
    field_first, field_last, field_offset, field_type, field_source, field_date, sizes, offsets, begins, never, as_f8, as_i4, as_i1, owners,
):  # fmt: skip
    """Lay the records out, table by table; the last table stands for area-wide shocks. True: done; False: too many rows that only their ids tell apart.

    rank (ids): place of a household or member among the sorted ones, -1 for one that is not asked for. places (households' rows, 6), wide_place
    (shocks' rows): places of areas. owner_kind: 0 household, 1 person, 2 area. offsets, begins: where records and starts of each table go.
    """
    tables = len(of_table)
    for slot in range(tables + 1):
        table = shocks if slot == tables else slot
        first, last = of_table[table, 0], of_table[table, 1]
        if first < 0:
            continue
        wide = slot == tables
        chosen = np.empty(last - first, np.int64)
        keys = np.empty(last - first, np.int64)
        n = 0
        for row in range(first, last):
            if replaced[row] == DROPPED:
                continue
            if wide:
                if not np.isnan(cells[row, household_column[table]]):
                    continue
                owner = np.int64(wide_place[row - first])
            elif owner_kind[table] == 1:
                owner = np.int64(rank[np.int64(cells[row, member_column[table]])])
            else:
                if np.isnan(cells[row, household_column[table]]):
                    continue
                owner = np.int64(rank[np.int64(cells[row, household_column[table]])])
            if owner < 0:
                continue
            known = np.int64(cells[row, known_column[table]] + 65536)
            if table == members:
                middle = np.int64(rank[np.int64(cells[row, member_column[table]])])
            elif occurred_column[table] >= 0:
                middle = np.int64(cells[row, occurred_column[table]] + 65536)
            else:
                middle = np.int64(0)
            chosen[n] = row
            keys[n] = (owner << 40) | (middle << 20) | known
            owners[begins[slot] + owner + 1] += 1
            n += 1
        for owner in range(begins[slot], begins[slot + 1] - 1):
            owners[owner + 1] += owners[owner]
        order = sorted_rows(keys[:n], chosen[:n], keyed, starts, stops, body, by_event[table] == 1)
        if len(order) != n:
            return False
        for number in range(n):
            row = order[number]
            base = offsets[slot] + number * sizes[slot]
            for field in range(field_first[slot], field_last[slot]):
                source = field_source[field]
                at = base + field_offset[field]
                if source >= 0:
                    value = cells[row, source]
                elif source == REPLACED:
                    value = float(replaced[row])
                elif source == PERSON:
                    person = cells[row, member_column[table]]
                    value = -1.0 if np.isnan(person) else float(rank[np.int64(person)])
                elif source == SCOPE:
                    code = cells[row, area_column]
                    value = (3.0 if code < 1e6 else 2.0 if code < 1e9 else 1.0) if wide else 0.0
                elif source <= SINCE:
                    value = float(since_of[row - first, SINCE - source])
                else:
                    value = float(places[row - first, PLACE - source])
                kind = field_type[field]
                if kind == 0:
                    as_f8[at >> 3] = value
                elif kind == 1:
                    if np.isnan(value):
                        as_i4[at >> 2] = never if field_date[field] == 1 else -1
                    elif field_date[field] == 2:
                        as_i4[at >> 2] = birth_of(np.int64(value))
                    else:
                        as_i4[at >> 2] = np.int64(value)
                else:
                    as_i1[at] = -1 if np.isnan(value) else np.int64(value)
    return True
