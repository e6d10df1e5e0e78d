"""The operator's screen says what is the matter, in 80 columns."""

from rich.console import Console

from station.label import Label
from station.operator import Screen, label_files

LABEL = Label("Lamp", "001122", "MT:Y.K9042C00KA0648G00", "34970112332")


def shown(screen: Screen) -> str:
    console = Console(width=80, record=True, file=None, force_terminal=False, quiet=False)
    with console.capture() as captured:
        console.print(screen)
    return captured.get()


def device(socket: str, result: str, reason: str = "", what: str = "") -> dict:
    return {
        "event": "device",
        "socket": socket,
        "uid": "00112233aabb",
        "result": result,
        "reason": reason,
        "what": what,
        "duration_ms": 41,
    }


def test_pass_and_fail_and_why_fit_eighty_columns():
    screen = Screen("line-1")
    screen.hear({"event": "order", "product": "Lamp"})
    screen.hear({"event": "link", "peer": "edgehsm", "up": False})
    screen.hear(device("a0", "PASS"))
    screen.hear(device("a1", "REFUSED", "QUANTITY_SPENT", "the Authorization's quantity is spent, all 2000 of it"))
    screen.show_label(LABEL)
    text = shown(screen)

    assert max(map(len, text.splitlines())) <= 80
    for part in ("PASS", "QUANTITY_SPENT", "edgehsm DOWN", "PASS 1", "REFUSED 1", "3497-011-2332"):
        assert part in text


def test_labels_are_kept_nowhere_unless_somebody_asks(tmp_path):
    label_files(None)(LABEL)
    label_files(tmp_path / "labels")(LABEL)

    (file,) = (tmp_path / "labels").iterdir()
    assert file.read_text() == LABEL.render()
    assert file.stat().st_mode & 0o077 == 0
