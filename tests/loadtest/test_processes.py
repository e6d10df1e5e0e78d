import asyncio
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from loadtest.demo.failure import DemoFailed
from loadtest.demo.ports import choose_ports
from loadtest.demo.processes import Command, Processes


@pytest.fixture
def processes(tmp_path):
    started = Processes(tmp_path / "logs")
    yield started
    started.stop_all()


def script(name, code, **more):
    return Command(name, ("-c", textwrap.dedent(code)), **more)


FOREVER = "import time\nprint('ready', flush=True)\ntime.sleep(60)"


def test_a_secret_goes_by_a_pipe_and_by_nothing_else(processes):
    code = """
        import json, os, sys
        secret = json.loads(os.read(int(sys.argv[sys.argv.index("--secrets-fd") + 1]), 4096))["element"]
        print(secret in " ".join(sys.argv), secret in str(os.environ), len(secret))
    """

    said = asyncio.run(processes.run(script("one", code, secrets={"element": "correct horse"})))

    assert said.split() == ["False", "False", "13"]


def test_a_process_gets_no_descriptor_it_was_not_given(processes):
    code = "import os; print(sorted(int(x) for x in os.listdir('/proc/self/fd'))[:-1])"

    assert asyncio.run(processes.run(script("bare", code))).strip() == "[0, 1, 2]"


def test_the_environment_of_the_runner_stays_with_the_runner(processes, monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")

    said = asyncio.run(processes.run(script("env", "import os; print('AWS_SECRET_ACCESS_KEY' in os.environ)")))

    assert said.strip() == "False"


def test_a_failure_shows_the_end_of_the_log(processes):
    with pytest.raises(DemoFailed, match=r"(?s)status 3.*no such quorum"):
        asyncio.run(processes.run(script("bad", "import sys; print('no such quorum', file=sys.stderr); sys.exit(3)")))


async def test_a_killed_process_comes_back_as_it_was_started(processes):
    first = processes.start(script("boundary", FOREVER))
    await processes.said("boundary", "ready")
    processes.kill("boundary")
    assert first.process.returncode == -signal.SIGKILL

    again = processes.restart("boundary")
    await processes.said("boundary", "ready", times=2)
    assert again.is_running
    processes.require_alive()
    assert processes.kills == ["boundary"]


async def test_one_that_dies_by_itself_is_noticed(processes):
    processes.start(script("cloud", "raise SystemExit(1)")).process.wait()

    with pytest.raises(DemoFailed, match="cloud ended"):
        processes.require_alive()
    with pytest.raises(DemoFailed, match="cloud ended"):
        await processes.listening("cloud", "127.0.0.1:1")


def test_even_one_that_ignores_every_signal_is_ended(tmp_path):
    processes = Processes(tmp_path / "logs")
    child = processes.start(
        script("stubborn", f"import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FOREVER}")
    )
    asyncio.run(processes.said("stubborn", "ready"))
    processes.stop_all()

    assert child.process.returncode == -signal.SIGKILL


def test_nothing_outlives_a_runner_that_is_killed(tmp_path):
    code = f"""
        import sys
        from pathlib import Path
        from loadtest.demo.processes import Command, Processes
        child = Processes(Path({str(tmp_path)!r})).start(Command("x", ("-c", "import time; time.sleep(60)")))
        print(child.process.pid, flush=True)
        import time; time.sleep(60)
    """
    runner = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    child = int(runner.stdout.readline())
    runner.kill()
    runner.wait()
    runner.stdout.close()

    until = time.monotonic() + 5
    while _lives(child) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _lives(child)


def test_ports_differ_and_are_written_down(tmp_path):
    ports = choose_ports([f"p{n}" for n in range(20)], tmp_path / "ports.json")

    assert len(set(ports.values())) == 20
    assert '"p19": "127.0.0.1:' in (tmp_path / "ports.json").read_text()


def _lives(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
