"""What a name or another text for people must look like: what cannot be seen, or was lost on the way, is no text."""

import re
import unicodedata
from typing import Final

EDGES: Final = " \t\u00a0\u1680\u202f\u205f\u2060\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200E)))
"""White space, and signs without width: around a text they join nothing."""
_SPACE: Final = re.compile("[\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000]")
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_UNSEEN: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u2800\u3164"
    "\ufeff\uffa0\ufff0-\ufffb\U000e0000-\U000e00ff]"
)
_LOST: Final = re.compile("[\ufffc-\uffff\ufdd0-\ufdef\ue000-\uf8ff\U000f0000-\U0010ffff]")
# In whatever language the spreadsheet speaks: #BEZUG!, #VALOR!, #NOM?, #¡REF!, #N/D, #NV.
_SHEET_ERROR: Final = re.compile(r"#(?:[¡¿]?[^\W\d_a-z][^\W_a-z/]*(?:/0)?[!?]|N/[AD]|NV|#+)")
NOTHING: Final = frozenset(
    {"NULL", "null", "(null)", "<null>", "[NULL]", "\\N", "None", "nil", "NaN", "nan", "NaT", "<NA>", "N/A", "n/a"}
    | {"undefined", "[object Object]"}
)
"""What programs write where they have no value. (Null, Nan and Nil are names.)"""
_FORMULA: Final = re.compile(r'=".*"')
_ENTITY: Final = re.compile(r"&(?:[A-Za-z]{2,8}|#[0-9]{2,6}|#[xX][0-9A-Fa-f]{2,5});")
_QUESTIONABLE: Final = re.compile(r"[^\W\d_]\?[^\W\d_]|\?\?")
"""What a converter leaves of letters that it does not know. (At the end of a name a single one may be meant.)"""
# Latin letters, punctuation, and two Cyrillic letters, as the bytes of their UTF-8 look in windows-1252. Other capital
# letters may stand before an apostrophe or a dash.
_HIGH: Final = (
    "[\u00a0-\u00bf" + bytes({*range(0x80, 0xA0)} - {0x81, 0x8D, 0x8F, 0x90, 0x9D}).decode("windows-1252") + "]"
)
_HIGH_1250: Final = "[ĄĽŁŻ\u00a4\u00a6-\u00a9\u00ab-\u00b1\u00b4-\u00b8\u00bbąľłśšşťźžż\u02c7\u02d8\u02db\u02dd]"
# The same in windows-1250, where capitals of Romanian may stand before many others, and in what consoles and Macs took
# for text.
_TWICE: Final = (
    ("windows-1252", re.compile(f"[\u00c2-\u00c5]{_HIGH}|\u00e2{_HIGH}{{2}}|(?:[\u00d0\u00d1]{_HIGH}){{2}}")),
    ("windows-1250", re.compile(f"[ÄĂĹ]{_HIGH_1250}")),
    ("cp850", re.compile(r"[┬├─┼][^\x00-\x7f]")),
    ("cp437", re.compile(r"[┬├─┼][^\x00-\x7f]|(?:[╨╤][^\x00-\x7f]){2}")),
    ("mac-roman", re.compile(r"[√≈][^\x00-\x7f]")),
)
_MARKS_FROM: Final = "\u0300"


def normal(text: str) -> str:
    """The text in Unicode's normal form C, without white space around it and with plain spaces in it."""
    if text.isascii():
        return text.strip(" \t")
    return _SPACE.sub(" ", unicodedata.normalize("NFC", text).strip(EDGES))


def broken_rule(text: str, limit: int) -> str | None:
    """The rule that a normal text breaks, for people."""
    if len(text) > limit:
        return f"is longer than {limit} characters"
    if _CONTROL.search(text):
        return "holds a line break or another control character"
    if text[0] == "#" and _SHEET_ERROR.fullmatch(text):
        return f"is an error of a spreadsheet: {text}"
    if text in NOTHING:
        return f"is what a program writes where it has no value: {text}"
    if _FORMULA.fullmatch(text):
        return "is a formula of a spreadsheet: give the column the format text"
    if found := _ENTITY.search(text):
        return f"holds {found[0]}, a sign as web pages write it"
    if _QUESTIONABLE.search(text):
        return "holds ? in place of a letter: it was lost when the file was converted earlier"
    if text.isascii():
        return None
    if twice := _encoded_twice(text):
        return f"holds {twice}: the file was taken for another charset when it was converted earlier"
    if lost := _LOST.search(text):
        return f"holds {_code(lost[0])}: a character was lost when the file was converted earlier"
    if unseen := _UNSEEN.search(text):
        return f"holds {_code(unseen[0])}, which cannot be seen or turns the direction of the text"
    if text[0] >= _MARKS_FROM and unicodedata.category(text[0])[0] == "M":
        return f"begins with {_code(text[0])}, a mark that has no letter to stand on"
    return None


def _encoded_twice(text: str) -> str:
    """What signs look like whose bytes in UTF-8 were taken for signs of their own, and what they were; empty where
    there are none."""
    for charset, looks in _TWICE:
        if found := looks.search(text):
            try:
                return f"{found[0]}, which was {found[0].encode(charset).decode()} once"
            except UnicodeError:
                continue
    return ""


def _code(sign: str) -> str:
    return f"U+{ord(sign):04X}"
