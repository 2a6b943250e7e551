"""Each kind is found in the ways people write it; what only looks like it, or was set aside, is not."""

import json

import pytest

from accord.cli.main import run_command
from accord.domain.errors import EvaluationError
from accord.evaluation.hygiene import Trace, find_personal_data, personal_data_measurements, search_rows

FOUND = [
    (
        "email",
        "Write to Ada.Lovelace+x@mail.analytical.co.uk, please.",
        "Ada.Lovelace+x@mail.analytical.co.uk",
    ),
    ("email", "<b@c.io>", "b@c.io"),
    ("phone", "Call +49 (30) 901820 today", "+49 (30) 901820"),
    ("phone", "tel:+442079460018.", "+442079460018"),
    ("phone", "My number is (212) 736-5000, ask", "(212) 736-5000"),
    ("phone", "212-736-5000", "212-736-5000"),
    ("phone", "1-800-273-8255", "1-800-273-8255"),
    # Luhn: 4556 7375 8689 9855 is a generated number with a right check digit
    ("card", "card 4556 7375 8689 9855 exp 1/30", "4556 7375 8689 9855"),
    ("card", "4556-7375-8689-9855", "4556-7375-8689-9855"),
    # mod 97: NL91ABNA0417164300 leaves 1
    ("iban", "IBAN NL91 ABNA 0417 1643 00 THANKS", "NL91 ABNA 0417 1643 00"),
    ("iban", "to NL91ABNA0417164300.", "NL91ABNA0417164300"),
    ("ssn", "SSN 536-90-4399", "536-90-4399"),
    ("ip", "from 81.2.69.142 at noon", "81.2.69.142"),
    ("secret", "key AKIAIOSFODNN7EXAMPLA here", "AKIAIOSFODNN7EXAMPLA"),
    ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMII", "-----BEGIN RSA PRIVATE KEY-----"),
    ("secret", "token ghp_" + "a1B2" * 9, "ghp_" + "a1B2" * 9),
]
NOTHING = [
    "mail a@example.com, b@sub.example.org, root@localhost or c@d.test",
    "an at sign @ alone, @handle, a@b, user@",
    "call (212) 555-0123 or +1 212 555 0199, which are nobody's",
    "between 1990-2024, on 2024-10-05, 10-20-3000, pages 212-736",
    "pi is 3.14159265358979323846264338327950288",
    "order 4556737586899854, whose check digit is wrong",
    "the test card 4242 4242 4242 4242 and zeros 0000 0000 0000 0000",
    "IBAN GB82 WEST 1234 5698 7654 32 is the textbook's; NL92ABNA0417164300 has wrong check digits",
    "000-12-3456, 666-12-3456, 912-12-3456, 123-00-4567, 123-45-0000 and 123-45-6789",
    "192.168.0.1, 127.0.0.1, 10.0.0.7, 203.0.113.5, 999.1.1.1, version 4.10.2.1, 1.2.3.4.5.81",
    "sk-learn, ghp_short, eyJhbGciOi alone, sk-ip-this",
    "phone number 736-5000 without its area, 1234567890 in one run",
    "",
]


@pytest.mark.parametrize(("kind", "text", "piece"), FOUND)
def test_a_trace_is_found_whole(kind, text, piece):
    assert find_personal_data(text) == [Trace(kind, piece)]


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_it_is_left_alone(text):
    assert find_personal_data(text) == []


def test_one_place_is_one_trace_and_their_order_is_that_of_the_text():
    # the digits of an IBAN could be read as a phone or a card too
    found = find_personal_data("b@c.io, then NL91 ABNA 0417 1643 00, then 212-736-5000")
    assert [one.kind for one in found] == ["email", "iban", "phone"]


def test_rows_are_counted_and_what_was_found_is_masked():
    files = {"a": ["b@c.io and d@e.io", "nothing"], "b": ["212-736-5000", "desk@ours.com", "DESK@ours.com"]}
    data = search_rows(files, excepted=["desk@ours.com"])
    assert (data.rows, data.rows_with, data.excepted) == (5, 2, 2)
    whole, *kinds = personal_data_measurements(data, {})
    assert whole.estimate.value == 2 / 5
    assert whole.estimate.low == whole.estimate.high == 2 / 5
    assert {one.slice: one.estimate.value for one in kinds} == {"kind=email": 1 / 5, "kind=phone": 1 / 5}
    shown = json.dumps(whole.facts)
    assert "b@*.**" in shown
    assert "736" not in shown


def test_no_rows_are_no_zero():
    with pytest.raises(EvaluationError, match="n = 0"):
        search_rows({"a": []})


def test_the_command_decides_the_gate(tmp_path, capsys):
    rows = [{"prompt": "hi", "chosen": "write to b@c.io", "license": "MIT"}, {"prompt": "ho", "meta": {}}]
    data = tmp_path / "train.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for arguments, found in (
        ([], (0.5, 0.5)),
        (["--except", "b@c.io", "--license", "CC-BY-4.0"], (0.0, 0.0)),
    ):
        assert run_command(["evaluate", "hygiene", str(data), *arguments, "--json"]) == 0
        (tmp_path / "h.json").write_text(capsys.readouterr().out)
        made = json.loads((tmp_path / "h.json").read_text())
        values = {
            one["metric"]: one["estimate"]["value"] for one in made["measurements"] if one["slice"] == "all"
        }
        assert values == {"train_personal_data": found[0], "train_unlicensed": found[1]}
        run_command(["gate", "default", str(tmp_path / "h.json"), "--json"])
        gates = {one["id"]: one["verdict"] for one in json.loads(capsys.readouterr().out)["gates"]}
        wanted = "pass" if found == (0.0, 0.0) else "fail"
        assert (gates["G15.personal"], gates["G15.licenses"]) == (wanted, wanted)
    assert run_command(["evaluate", "hygiene", str(data)]) == 0
    said = capsys.readouterr().out
    assert "license unknown: 1 rows, not allowed" in said
    assert "b@c.io" not in said
