"""`brain3d score` and `brain3d compare` at the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from brain3d.cli.main import main

LEFT = "A lesion is seen in the left frontal lobe. There is mild edema."
RIGHT = "A lesion is seen in the right frontal lobe. There is mild edema."
NORMAL = "No focal lesion is seen."


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    lines = [
        {"id": "a", "reference": LEFT, "candidate": LEFT, "mirrored": RIGHT, "nearest": RIGHT},
        {"id": "b", "reference": RIGHT, "candidate": LEFT, "mirrored": LEFT, "nearest": RIGHT},
        {"id": "c", "reference": NORMAL, "candidate": NORMAL, "mirrored": NORMAL, "nearest": NORMAL},
        {"id": "d", "reference": LEFT, "candidate": None, "mirrored": None, "nearest": LEFT},
    ]
    path = tmp_path / "pairs.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n")
    return path


def test_score_writes_json_and_page_and_prints_tables(
    pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "s.json", tmp_path / "s.html"
    assert main(["score", str(pairs), "--json", str(out), "--html", str(page)]) == 0
    metrics = json.loads(out.read_text())["metrics"]
    assert metrics["findings/side"]["value"] == pytest.approx(1 / 3)
    assert metrics["mirror/consistency"]["value"] == pytest.approx(2 / 4)
    assert page.read_text().startswith("<!DOCTYPE html>")
    shown = capsys.readouterr().out
    for wanted in ("side exactly right", "constant", "shuffled", "nearest", "skill", "4 cases", "1 lines skipped"):
        assert wanted in shown
    assert "invalid_json: line 5: is not valid JSON" in shown


def test_self_test_and_compare(pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    moved, one, both = (str(tmp_path / name) for name in ("m.json", "a.json", "c.json"))
    assert main(["score", str(pairs), "--self-test", "--json", moved]) == 0
    found = json.loads(Path(moved).read_text())
    assert found["metrics"]["findings/side"]["moved"]["sides swapped"] == -1.0
    assert found["metrics"]["findings/side"]["moved"]["reworded"] == 0.0
    assert main(["score", str(pairs), "--json", one]) == 0
    assert main(["compare", one, one, "--json", both]) == 0
    assert json.loads(Path(both).read_text())["metrics"]["findings/side"]["p"] == 1.0
    assert "how far each metric moves" in capsys.readouterr().out.lower()


@pytest.mark.parametrize(
    "arguments",
    [
        ["score", "absent.jsonl"],
        ["score", "{pairs}", "--train", "absent.jsonl"],
        ["score", "{pairs}", "--json", "{pairs}"],
        ["score", "{pairs}", "--html", "page.txt"],
        ["score", "{pairs}", "--extra", "green"],
        ["score", "{pairs}", "--self-test", "--html", "page.html"],
        ["score", "{pairs}", "--seed", "-1"],
        ["compare", "{pairs}", "absent.json"],
        ["compare", "{pairs}", "{pairs}"],
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str],
    pairs: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir()), pairs.read_bytes()
    assert main([item.replace("{pairs}", str(pairs)) for item in arguments]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert len(shown.err.splitlines()) == 1
    assert (sorted(tmp_path.iterdir()), pairs.read_bytes()) == before


def test_scoring_texts_needs_no_torch_and_no_model(pairs: Path, tmp_path: Path) -> None:
    code = (
        "import sys\nfrom brain3d.cli.main import main\n"
        f"assert main(['score', {str(pairs)!r}, '--html', {str(tmp_path / 'p.html')!r}]) == 0\n"
        "heavy = {'torch', 'transformers', 'nilearn'} & set(sys.modules)\nassert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_ascii_terminal_is_no_obstacle(pairs: Path) -> None:
    command = [sys.executable, "-m", "brain3d", "score", str(pairs)]
    done = subprocess.run(command, capture_output=True, check=False, env={"PYTHONIOENCODING": "ascii", **_path()})
    assert done.returncode == 0, done.stderr
    assert b"side exactly right" in done.stdout


def _path() -> dict[str, str]:
    import os

    return {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
