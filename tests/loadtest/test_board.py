import io

from loadtest.demo.board import Board


class Terminal(io.StringIO):
    def isatty(self):
        return True


def lines_of(board_out):
    return board_out.getvalue().splitlines()


def test_everything_fits_eighty_columns():
    out = io.StringIO()
    board = Board(out)
    board.step("Step " * 30)
    board.say("something long happened " * 10)
    line = board.factory("th-01")
    line.wanted, line.made, line.in_cloud, line.link, line.note = 1000, 999, 998, "CUT", "x" * 100
    board.refresh(now=True)

    assert max(map(len, lines_of(out))) <= 80


def test_without_a_terminal_nothing_is_redrawn():
    out = io.StringIO()
    board = Board(out)
    board.factory("th-01").wanted = 10
    board.refresh(now=True)
    board.say("link cut")

    assert "\x1b" not in out.getvalue()


def test_on_a_terminal_the_lines_stay_below_what_happens():
    out = Terminal()
    board = Board(out)
    board.factory("th-01").wanted = 10
    board.refresh(now=True)
    board.say("link cut")

    text = out.getvalue()
    assert "\x1b[1F\x1b[J" in text
    assert text.rstrip().splitlines()[-1].lstrip().startswith("th-01")


def test_a_factory_that_makes_nothing_has_no_line():
    out = io.StringIO()
    board = Board(out)
    board.factory("th-01")
    board.refresh(now=True)

    assert out.getvalue() == ""
