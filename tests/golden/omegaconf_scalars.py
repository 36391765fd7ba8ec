"""Writes what OmegaConf (on PyYAML) makes of plain YAML scalars, and of texts in typed fields.

    python tests/golden/omegaconf_scalars.py  # writes omegaconf_scalars/table.json

Made with omegaconf 2.4.0 and PyYAML 6.0.3; omegaconf 2.3.0 gives the same table. All texts of up to
five characters of ALPHABET were compared once (342,730 of them); the table keeps those of up to three.
"""

import itertools
import json
import math
import pathlib
from dataclasses import dataclass

from omegaconf import OmegaConf

PLAIN = """
~ null Null NULL nUll yes Yes YES yEs no No NO y n Y N on On ON oN off Off OFF oFf true True TRUE tRUE false False FALSE
0 1 -1 +1 ++1 -0 00 007 010 -017 +017 08 09 0_7 1_000 1__0 1_ _1 0_ 0777 0o17 -0o17 0b11 0b_1 -0b101 0b2 0b 0x1F 0x_1F +0x1f 0xg 0x
9223372036854775807 9223372036854775808 123456789012345678901234567890
0.0 1.5 -1.5 +1.5 1. -1. .5 -.5 +.5 ._5 .5_0 1_0.5 1__0.5 1.5_0 . ._ .e5 .5e3 .5e+3 1.e3 1.e+3 1.E5 1e5 1E5 1e-4 -1e5 +1e5 1e+3 1e
1e+ 1.e 1.5E 1_0e5 1__0e5 1_e5 6.02E+23 1e500 -1e500 1e-500 1_000.5e-3_0 1.5e3 1.5e-3 1_.5e3 1_.5e+3 .inf .Inf .INF +.inf -.inf -.INF .iNF
.nan .NaN .NAN -.nan +.nan inf -inf nan NaN
12:30:45 1:30 -1:30 +1:30 1:60 1:59 60:60 0:0 0:59 01:30 190:20:30 1:30.5 -1:30.5 1:30. 0:30.5 1_0:30 1:30_0 1:30.5_0 1:2:3:4 1: 1:a
2024-01-01 12-30 1-1 1e5e5 1.2.3 0x1p3 1/2 5% 3px 1e-4a +- - + ??? word ${a}
""".split()

ALPHABET = "0189_.eE+-:xb"

TEXTS = """
5 -5 +5 010 1_0 1__0 _1 0x10 1e3 5.0 5. .5 -.5 1e-4 1_0.5 1_0e1_0 nan NaN inf -inf Infinity -infinity true abc 1:30 ++1 . e5 1e 0_0
""".split() + ["", " 5 ", " ", "5 5", "\t5\n"]


@dataclass
class Typed:
    an_int: int = 0
    a_float: float = 0.0
    a_bool: bool = False


def plain(text):
    try:
        value = OmegaConf.to_container(OmegaConf.create(f"a: {text}"), resolve=False)["a"]
    except Exception:
        return ["error"]
    if value is None:
        return ["null"]
    if isinstance(value, bool):
        return ["bool", value]
    if isinstance(value, int):
        return ["int", str(value)]
    if isinstance(value, float):
        return ["float", exact(value)]
    return ["text"] if value == text else ["error"]


def exact(value):
    return repr(value) if math.isfinite(value) else {"inf": "inf", "-inf": "-inf"}.get(str(value), "nan")


def typed(field, text):
    try:
        merged = OmegaConf.merge(OmegaConf.structured(Typed), {field: text})
    except Exception:
        return None
    value = merged[field]
    return exact(value) if field == "a_float" else str(value).lower()


def short_texts():
    """Every text of up to three characters that is not a text to OmegaConf."""
    for length in (1, 2, 3):
        for letters in itertools.product(ALPHABET, repeat=length):
            row = ["".join(letters), *plain("".join(letters))]
            if row[1] != "text":
                yield row


def main():
    words = ["yes", "Y", "on", "True", "1", "n", "No", "oFF", "0", "2", "t", "", "1.0", "abc"]
    table = {
        "plain": [[text, *plain(text)] for text in PLAIN],
        "short": list(short_texts()),
        "int": [[text, typed("an_int", text)] for text in TEXTS],
        "float": [[text, typed("a_float", text)] for text in TEXTS],
        "bool": [[text, typed("a_bool", text)] for text in words],
    }
    folder = pathlib.Path(__file__).with_suffix("")
    folder.mkdir(exist_ok=True)
    rows = {name: ",\n".join("  " + json.dumps(row) for row in table[name]) for name in table}
    body = ",\n".join(f' "{name}": [\n{text}\n ]' for name, text in rows.items())
    (folder / "table.json").write_text("{\n" + body + "\n}\n")


main()
