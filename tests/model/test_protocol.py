"""docs/peer-protocol.md tells of every message what the code says of it."""
import re
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
ROWS = TOP / "src" / "fabric" / "wire_messages.def"
DOCUMENT = TOP / "docs" / "peer-protocol.md"


def of_the_code():
    row = r"^HF_WIRE_MESSAGE\((\w+), (\d+), ([\w, ]+)\)"
    rows = re.findall(row, ROWS.read_text(), re.MULTILINE)
    return {name: (int(number), fields.split(", ")) for name, number, fields in rows}


def of_the_document():
    rows = re.findall(r"^\| ([A-Z_]+) \| (\d+) \| ([A-Z ]+) \|", DOCUMENT.read_text(), re.MULTILINE)
    return {name: (int(number), fields.split()) for name, number, fields in rows}


def test_every_message_is_described_as_it_is_sent():
    assert len(of_the_code()) > 20
    assert of_the_document() == of_the_code()


def test_every_field_is_described():
    described = set()
    for names in re.findall(r"^\| ([A-Z, ]+) \| ", DOCUMENT.read_text(), re.MULTILINE):
        described |= set(names.split(", "))
    assert {field for _, fields in of_the_code().values() for field in fields} <= described
