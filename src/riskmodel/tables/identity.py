"""Detection of direct identifiers: national ids, phone numbers, names of persons. They are refused by
default, in any column.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

import polars as pl

REMEDY_COLUMN = "Leave the column out of the extract; persons are known here by pseudonymous ids only."
REMEDY_VALUES = (
    "Replace it by a keyed pseudonym at its source. If these are no identities, name the column under "
    "`not_identity` in tables.yaml."
)

_TELLING = {
    "a name": (
        "姓名",
        "名字",
        "户主姓名",
        "联系人",
        "负责人",
        "帮扶责任人",
        "帮扶人",
        "name",
        "full_name",
        "surname",
    ),
    "an identity number": (
        "身份证",
        "证件号",
        "证件号码",
        "公民身份号码",
        "id_card",
        "idcard",
        "id_number",
        "national_id",
        "identity",
    ),
    "a phone number": ("电话", "手机", "联系方式", "phone", "mobile", "telephone", "tel"),
    "an account": ("银行卡", "银行账号", "账号", "bank_account", "card_number"),
    "an address": ("家庭住址", "详细地址", "门牌", "address"),
}
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_CHECK_DIGITS = "10X98765432"
_PHONE = r"(?:^|\D)(?:\+?86-?)?1[3-9]\d{9}(?:\D|$)"
_ID_INSIDE = r"(?:^|[^0-9])(\d{17}[0-9Xx])(?:[^0-9Xx]|$)"
# The commonest family names; together they cover about nine tenths of the population.
_SURNAMES = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾萧田董袁潘于蒋蔡余杜叶程苏魏吕丁"
    "任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴"
    "莫孔向汤温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌"
    "毕单季裴霍涂成苗谷曲盛翁冉蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦"
    "麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗代桂全佟应臧闵苟邬边卞姬师和仇栾隋商刁沙荣巫寇桑郎甄丛仲虞敖"
    "巩明佘池查麻苑迟邝"
)
_NAME = rf"^[{_SURNAMES}]\p{{Han}}{{1,2}}$"
# The same for one text, outside of frames.
PHONE_LIKE = re.compile(_PHONE)
NAME_LIKE = re.compile(rf"[{_SURNAMES}][\u3400-\u9fff]{{1,2}}")
_PLACES = "村镇乡区园社组里寨屯庄湾县市州省点坝坪沟河冲坎坳垭坡岗岔沱场边井洞塘口"
# Headings of columns whose few values are places or things, which may be called like persons (李子冲, 白岩).
_OF_THINGS = re.compile(
    "[村乡镇组区县寨屯]|地[址点名]|安置|小区|学校|单位|机构|产业|作物|品种|项目|病|诊断|民族|village|town"
)
_OF_PERSONS = re.compile("干部|人|员|书记|主任|[组村镇乡县区]长|医生|教师|老师|联系|责任|户主|姓")
# Ordinary words that begin like a family name: values of columns of schooling, illness, crops, trades and
# reasons.
_ENDINGS = "族病症炎瘤癌压障疸痛户费款业厂店房车员牛羊猪鸡鸭鹅鱼茶酒薯豆麻参斛榴粱"
_ORDINARY = (
    "高中|高职|高血脂|白术|白芨|金银花|黄连|黄精|黄姜|党参|石材|石灰|毛竹|马路|路灯|"
    "路面|水泥|安全|安置|安装|任务|全部|全家|全额|全劳力|单身|单亲|单位|项目|司机|"
    "时间|成功|成立|成年人|常年|常住|常规|明年|温饱|施工|农民工?|农村|农田|农具|农机|"
    "农产品|方便|应急|应届生?|符合|季度|阳光|关心|万元|党支部|蒙古|柴油|左右|和谐|"
    "师傅|时令|向阳|凌晨|查看|古树|鲁班|童年|单独|康复|康养|管理|管护|程度|范围|江苏|"
    "江西|安徽|宁夏|云南|贺州|温州"
)
_NO_NAME = rf"[{_PLACES}{_ENDINGS}]$|^(?:{_ORDINARY})$"
_NOT_NAMED = re.compile(_NO_NAME)
FEW_ROWS = 6


def telling_name(column: str) -> str | None:
    """The kind of identifier that a column's name announces ("a phone number"); None for other names."""
    lower = column.lower().replace(" ", "_")
    for word, names in _TELLING.items():
        for name in names:
            if name.isascii():
                if (
                    lower == name
                    or lower.endswith("_" + name)
                    or (len(name) > 4 and lower.startswith(name + "_"))
                ):
                    return word
            elif name in column:
                return word
    return None


def identities(text: pl.Series, *, free_text: bool) -> Iterator[tuple[str, pl.Series, str]]:
    """(check, positions, found) for national ids and phone numbers in a text column, and for a column of
    names.

    Only lengths are looked at first: twenty million ids are passed in a blink unless one has the length of an
    identity. Values are never repeated in the words.
    """
    length = text.str.len_bytes()
    candidates = (text.str.contains(r"\d{17}[0-9Xx]") if free_text else length == 18).fill_null(False)
    if candidates.any():
        places = candidates.arg_true()
        numbers = text.gather(places).str.extract(_ID_INSIDE, 1)
        valid = valid_id_numbers(numbers)
        if valid.any():
            yield (
                "identity_number",
                places.filter(valid),
                "an 18-digit number with the check digit of a national id",
            )
    if free_text:
        phones = text.str.contains(_PHONE).fill_null(False)
    else:
        phones = (length == 11).fill_null(False)
        if phones.any():
            phones = phones & text.str.contains(r"^1[3-9]\d{9}$").fill_null(False)
    if phones.any():
        yield "phone_number", phones.arg_true(), "an 11-digit number like a mobile phone's"
    some = text.drop_nulls().head(20_000)
    repeated = some.n_unique() < max(3, 0.5 * len(some))
    of_things = _OF_THINGS.search(text.name) and not _OF_PERSONS.search(text.name)
    if looks_like_names(some) and not (free_text and repeated and of_things):
        names = text.str.contains(_NAME).fill_null(False)
        yield "person_names", names.arg_true(), "values that look like names of persons"


def looks_like_names(some: pl.Series) -> bool:
    """Whether a column holds names: a common family name with one or two more characters in most of its rows,
    and no ordinary words.

    One or two different values are looked at more closely, because two words can be like names by chance:
    each has three characters, and they repeat (six rows or more).
    """
    some = some.drop_nulls()
    distinct = some.unique()
    names = distinct.filter(distinct.str.contains(_NAME) & ~distinct.str.contains(_NO_NAME))
    if not names.len():
        return False
    if distinct.len() < 3:
        return (
            len(some) >= FEW_ROWS
            and names.len() == distinct.len()
            and bool((names.str.len_chars() == 3).all())
        )
    return float(some.is_in(names.implode()).sum()) >= 0.8 * len(some)


def looks_like_a_name(text: str) -> bool:
    """Whether one text may be a person's name, so that it is not repeated in a message."""
    return NAME_LIKE.fullmatch(text) is not None and _NOT_NAMED.search(text) is None


def valid_id_numbers(numbers: pl.Series) -> pl.Series:
    """Whether each text is 17 digits and their check digit by GB 11643 (ISO 7064 mod 11-2). Null is False."""
    frame = pl.DataFrame({"number": numbers.cast(pl.String)})
    fits = pl.col("number").str.contains(r"^\d{17}[0-9Xx]$").fill_null(False)
    digits = [
        pl.col("number").str.slice(place, 1).cast(pl.Int32, strict=False) * weight
        for place, weight in enumerate(_WEIGHTS)
    ]
    check = pl.sum_horizontal(digits) % 11
    wanted = check.replace_strict(dict(enumerate(_CHECK_DIGITS)), default=None, return_dtype=pl.String)
    last = pl.col("number").str.slice(17, 1).str.to_uppercase()
    return frame.select((fits & (last == wanted)).fill_null(False)).to_series()


# Words that precede a person's name in a note; what may come between; and then a family name with one or two
# characters.
_BEFORE_A_NAME = "户主|姓名|联系人|本人|负责人|帮扶人|家属|丈夫|妻子|配偶|儿子|女儿|父亲|母亲|名"
_DOUBLE = "欧阳|司徒|皇甫|诸葛|上官|慕容|司马|夏侯|东方|尉迟|公孙|令狐|长孙|宇文|轩辕|端木|独孤|南宫"
_ILLNESSES = "病症炎瘤癌压障疸痛热"  # 户主：高血压 names an illness, nobody
_NAMED = re.compile(
    rf"(?:{_BEFORE_A_NAME})(?:姓名)?(?:\s*(?:是|叫|为|名叫|:|：)\s*|\s+|(?=(?:{_DOUBLE})))"
    rf"(?:(?:{_DOUBLE})[一-鿿]{{1,2}}|[{_SURNAMES}][一-鿿]{{1,2}}(?<![{_ILLNESSES}])(?![一-鿿]))"
)


def telling_text(text: str) -> str | None:
    """What a short free text gives away ("an identity number", "a phone number", "a name"); None: nothing of
    the kind.

    Digits are looked at as a person writes them: full-width forms and spaces or hyphens between groups count.
    Any 18-digit number of the form of an identity number counts here, with or without a fitting check digit:
    in a note nothing else looks like one. A name is known by the word before it (户主、姓名、联系人 …) or
    where it is all that is written; a name in the middle of a sentence is not found.
    """
    plain = re.sub(
        r"\d{4}([-/.])\d{1,2}\1\d{1,2}(?!\d)", " 日 ", unicodedata.normalize("NFKC", text)
    )  # dates are none
    plain = re.sub(r"(?<=[0-9])[\s\-–—·]+(?=[0-9xX])", "", plain)
    if re.search(r"(?<!\d)\d{17}[\dXx](?!\d)", plain) or re.search(r"(?<!\d)\d{15}(?!\d)", plain):
        return "an identity number"
    if re.search(r"(?<!\d)(?:\+?86)?1[3-9]\d{9}(?!\d)", plain):
        return "a phone number"
    if re.search(r"(?<!\d)\d{16,19}(?!\d)", plain):
        return "an account number"
    if _NAMED.search(plain) or re.fullmatch(rf"(?:{_DOUBLE})[一-鿿]{{1,2}}", plain.strip()):
        return "a name"
    return None


def telling_name_only(text: str) -> bool:
    """Whether a text is nothing but what looks like a person's name: a common family name and one or two more
    characters, and no place.
    """
    plain = unicodedata.normalize("NFKC", text).strip()
    return bool(NAME_LIKE.fullmatch(plain)) and plain[-1] not in _PLACES
