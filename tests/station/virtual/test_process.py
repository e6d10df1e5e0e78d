"""A chip's process: what it gives to nobody, what it keeps, and what it refuses on the wire."""

import asyncio
import json
import struct
from hashlib import sha256
from pathlib import Path

import pytest

from obis.matter.csr import parse_csr
from obis.refusal import Refused
from station.silicon.frames import Frame, Op, Status, Tag, decode, encode
from tests.station.conftest import ChipProcess
from tests.station.silicon.contract import AUTH, NONCE, Subject, provisioned


class Elsewhere:
    """Another address, for ChipProcess.socket."""

    soc = "generic-wifi"

    def __init__(self, address):
        self.address, self.sockets = address, []


SECRET = b"a secret that only this chip process was handed"


def on(socket) -> Subject:
    async def power_cycle():
        socket.close()

    return Subject("generic-wifi", socket.chip, power_cycle)


async def test_one_device_in_one_process_takes_no_other(chip_process):
    process = chip_process("generic-wifi")
    single = process.socket(pool=False)
    first = (await single.chip.identify()).uid

    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        await process.socket().place()
    assert (await single.chip.identify()).uid == first


async def test_faults_and_clones_only_where_they_were_allowed(chip_process):
    socket = chip_process("generic-wifi", "--pool").socket()

    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        await socket.arm("silence", 0)
    with pytest.raises(Refused, match="NOT_SUPPORTED"):
        await socket.place(b"cloned")


def test_it_leaves_no_core_file(chip_process):
    process = chip_process("generic-wifi")
    limits = Path(f"/proc/{process.process.pid}/limits").read_text()

    assert "Max core file size        0                    0" in limits


async def test_a_unit_outlasts_its_process_sealed(chip_process, tmp_path):
    """Rework weeks later: same key, same lock; and the file shows nothing."""
    state = tmp_path / "state"
    options = ("--pool", "--state", str(state))
    process = chip_process("generic-wifi", *options, secret=SECRET)
    socket = process.socket()
    await socket.place()
    spki = await provisioned(on(socket))
    uid = (await socket.chip.identify()).uid
    process.stop()

    later = chip_process("generic-wifi", *options, secret=SECRET).socket()
    await later.recall(uid)
    report = await later.chip.report(AUTH, NONCE)

    assert (await later.chip.identify()).uid == uid
    assert report.signatures[0].key_id == sha256(spki).hexdigest()
    sealed = b"".join(file.read_bytes() for file in sorted(state.glob("*.sealed")))
    assert len(sealed) > 1000
    assert b"scalar" not in sealed
    assert spki[-65:] not in sealed


async def test_a_sealed_unit_does_not_open_under_another_secret(chip_process, tmp_path):
    state = tmp_path / "state"
    process = chip_process("generic-wifi", "--pool", "--state", str(state), secret=SECRET)
    socket = process.socket()
    await socket.place()
    await socket.chip.generate_dac()
    uid = (await socket.chip.identify()).uid
    process.stop()

    stranger = chip_process("generic-wifi", "--pool", "--state", str(state), secret=b"x" * 40).socket()
    with pytest.raises(Refused, match="SIGNATURE_INVALID"):
        await stranger.recall(uid)


async def exchange(process, *octets: bytes) -> list[bytes]:
    reader, writer = await asyncio.open_unix_connection(process.address.removeprefix("unix:"))
    answers = []
    try:
        for each in octets:
            writer.write(each)
            await writer.drain()
            (length,) = struct.unpack(">I", await reader.readexactly(4))
            answers.append(await reader.readexactly(length))
    except asyncio.IncompleteReadError:
        answers.append(b"")
    finally:
        writer.close()
        await writer.wait_closed()
    return answers


async def test_bytes_that_are_no_frame_end_the_connection_and_nothing_else(chips):
    process = chips("generic-wifi")

    assert await exchange(process, struct.pack(">I", 12) + b"not a frame!") == [b""]
    assert await exchange(process, struct.pack(">I", 1 << 30)) == [b""]
    answer = decode((await exchange(process, encode(Frame(1, 0x77))))[0])
    assert answer.code == Status.UNKNOWN_OP


async def test_a_question_asked_twice_is_answered_from_memory(chips):
    process = chips("generic-wifi")
    attach = encode(Frame(1, Op.ATTACH, {Tag.SLOT: b"\x06"}))
    place, make = encode(Frame(2, Op.PLACE)), encode(Frame(3, Op.MAKE_KEY))

    answers = await exchange(process, attach, place, make, make)

    assert answers[2] == answers[3]
    assert parse_csr(decode(answers[3]).fields[Tag.DATA])


async def test_no_answer_of_any_operation_holds_the_key(chips, tmp_path):
    """Every operation there is, before and after the lock; no answer holds 32 octets that are the private scalar."""
    from cryptography.hazmat.primitives.asymmetric import ec

    process, heard = chips("generic-wifi"), []
    socket = process.socket(slot=5)
    await socket.place()
    link = socket._link
    receive = link._receive

    async def listening(reader):
        answer = await receive(reader)
        heard.append(b"".join(answer.fields.values()))
        return answer

    link._receive = listening
    spki = await provisioned(on(socket))
    for op in (each for each in Op if each >= Op.IDENTIFY):
        try:
            await link.ask(op, {Tag.AUTH_ID: AUTH, Tag.NONCE: NONCE, Tag.DATA: b"x", Tag.SALT: b"y"})
        except Refused:
            continue
    everything = b"".join(heard)
    point = spki[-65:]
    windows = {everything[at : at + 32] for at in range(len(everything) - 31)}

    assert point in everything  # the search would have found it: the public half is there
    for window in windows:
        scalar = int.from_bytes(window)
        if 0 < scalar < ORDER and len(set(window)) > 16:
            assert ec.derive_private_key(scalar, ec.SECP256R1()).public_key().public_numbers().x != int.from_bytes(
                point[1:33]
            )


ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


async def test_many_devices_each_in_a_process_of_its_own(chip_process, tmp_path):
    """Forked before any chip exists: other keys, other uids, other processes; they end with their parent."""
    second = f"unix:{tmp_path / 'second.sock'}"
    parent = chip_process("generic-wifi", "--listen", second)
    said = json.loads(parent.process.stdout.readline())
    first, other = parent.socket(pool=False), ChipProcess.socket(elsewhere := Elsewhere(second), pool=False)

    assert said["event"] == "listening"
    uids = {(await each.chip.identify()).uid for each in (first, other)}
    keys = {parse_csr((await each.chip.generate_dac()).csr_der).point for each in (first, other)}
    assert len(uids) == len(keys) == 2
    children = children_of(parent.process.pid)
    assert len(children) == 2

    for each in elsewhere.sockets:
        each.close()
    parent.stop()
    assert not [each for each in children if is_running(each)]


def children_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def is_running(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()
