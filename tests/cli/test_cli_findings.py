"""`brain3d findings`: a text, a file or stdin in, JSON out; what is no text is refused in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from brain3d.reports import default_lexicon, parse_findings, report_schema

Run = Callable[..., tuple[int, str, str]]
TEXT = "A bright lesion in the left frontal lobe, with mild \u201cedema\u201d. No necrosis.\n"


def process(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "brain3d", *arguments], input=given, capture_output=True, check=False)


def test_a_text_gives_the_findings_of_a_report_and_their_words(run: Run, empty: Path) -> None:
    code, out, err = run("findings", TEXT)
    values = json.loads(out)
    assert (code, err) == (0, "")
    assert {"normal": values["normal"], "lesions": values["lesions"]} == parse_findings(TEXT).to_dict()
    assert values["lexicon"] == default_lexicon().version
    (evidence,) = values["evidence"]["lesions"]
    assert evidence["words"]["edema"] == [{"start": 47, "end": 58, "text": "mild \u201cedema"}]
    assert evidence["places"] == [{"side": "left", "region": "frontal"}]
    assert not list(empty.iterdir())


def test_the_findings_are_those_of_the_schema(run: Run) -> None:
    jsonschema = pytest.importorskip("jsonschema")
    values = json.loads(run("findings", TEXT)[1])
    schema = report_schema()
    findings = {"$defs": schema["$defs"], **schema["properties"]["findings"]}
    jsonschema.validate({name: values[name] for name in ("normal", "lesions")}, findings)


def test_a_file_and_stdin_give_the_same(run: Run, empty: Path) -> None:
    (empty / "report.txt").write_bytes(b"\xef\xbb\xbf" + TEXT.encode())
    from_file = run("findings", "report.txt")
    assert from_file == run("findings", TEXT)
    done = process("findings", "-", given=TEXT.encode())
    assert (done.returncode, done.stdout.decode()) == (0, from_file[1])


@pytest.mark.parametrize("text", ["", " ", "Please call back.", "\u8111\u90e8", "the end of text a/b c.d"])
def test_what_states_nothing_gives_no_findings(run: Run, empty: Path, text: str) -> None:
    code, out, _ = run("findings", text)
    assert (code, json.loads(out)["lesions"], json.loads(out)["normal"]) == (0, [], False)


def test_words_of_ones_own(run: Run, empty: Path) -> None:
    (empty / "words.yaml").write_text("version: mine\nlesions: {nouns: [dysplasia]}\n", encoding="utf-8")
    code, out, _ = run("findings", "Dysplasia of the left insula.", "--lexicon", "words.yaml")
    assert code == 0
    assert json.loads(out)["lesions"][0]["side"] == "left"
    assert json.loads(out)["lexicon"].endswith("+mine")


@pytest.mark.parametrize("name", ["none.txt", "folder/none", "folder", "image.txt", "latin.txt"])
def test_what_is_no_text_is_refused_in_one_line(run: Run, empty: Path, name: str) -> None:
    (empty / "folder").mkdir()
    (empty / "image.txt").write_bytes(b"\x89PNG\x00\x00")
    (empty / "latin.txt").write_bytes("L\xe4sion".encode("latin-1"))
    code, out, err = run("findings", name)
    assert (code, out, len(err.splitlines())) == (2, "", 1)
    assert err.startswith(f"brain3d: error: {name}: ")


@pytest.mark.parametrize("words", ["regions: {frontal: [no]}", "region: {frontal: [foot]}", "a: ["])
def test_a_lexicon_that_is_none_is_refused_in_one_line(run: Run, empty: Path, words: str) -> None:
    (empty / "words.yaml").write_text(words, encoding="utf-8")
    for name in ("words.yaml", "none.yaml"):
        code, out, err = run("findings", TEXT, "--lexicon", name)
        assert (code, out, len(err.splitlines())) == (2, "", 1)
        assert err.startswith(f"brain3d: error: --lexicon {name}: ")


def test_it_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom brain3d.cli.main import main\n"
        f"assert main(['findings', {TEXT!r}]) == 0\n"
        "heavy = {'torch', 'transformers', 'nibabel', 'scipy', 'numpy'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
