import io
import sys

from training.progress import shown


class Terminal(io.StringIO):
    def isatty(self):
        return True


def advance_all(title="train", wanted=True, total=200):
    with shown(title, wanted=wanted) as advance:
        for done in range(1, total + 1):
            advance(done, total, f"loss {done}")


def test_where_nobody_watches_ten_plain_lines_say_it(capsys):
    advance_all()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 11
    assert lines[-1] == "train 200/200 loss 200"


def test_a_terminal_gets_a_bar(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    advance_all()
    assert "200/200" in terminal.getvalue()


def test_progress_can_be_left_out(capsys):
    advance_all(wanted=False)
    assert capsys.readouterr().err == ""
