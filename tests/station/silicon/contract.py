"""What every adapter must do, whatever its chip: a new family runs this with its own `Subject` (docs/new-soc.md)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from obis.matter.csr import parse_csr
from obis.refusal import Refused, word
from obis.trust.envelope import make_envelope, verify_single
from obis.trust.payload import DEBUG_RESPONSE, DEVICE_REPORT
from obis.v1.device_objects_pb2 import DebugChallenge, DebugResponse, DebugState, DeviceReport, Lifecycle
from obis.v1.envelope_pb2 import SigScheme
from station.silicon.adapter import RootKeys, SocAdapter
from station.unit import Chance, draw
from tests.obis.matter.pki import pki
from tests.obis.trust.keys import p256
from tests.station.orders import BOOT, IMAGE, Making, boot_signature

AUTH, NONCE, DIGEST = b"a" * 16, b"n" * 16, sha256(IMAGE).digest()
DEBUG = p256("debug authority of the contract")
ROOTS = RootKeys(BOOT.spki, DEBUG.spki, 1)


@dataclass(frozen=True)
class Subject:
    """A blank chip, and how to bring it back after a loss of power."""

    soc: str
    chip: SocAdapter
    power_cycle: Callable[[], Awaitable[None]]


def factory_data(uid: bytes):
    return draw(Making().order(), uid, pki().dac(), "20260922", Chance()).data


async def refuses(asked: Awaitable[object], *words: str) -> None:
    with pytest.raises(Refused) as no:
        await asked
    assert word(no.value.reason) in (words or ("CHIP_REFUSED",))


async def provisioned(subject: Subject) -> bytes:
    """A chip taken to its lock; DER SubjectPublicKeyInfo of its key."""
    chip = subject.chip
    await chip.load_agent(b"agent")
    key = parse_csr((await chip.generate_dac()).csr_der)
    await chip.install_factory_data(factory_data((await chip.identify()).uid))
    await chip.program(IMAGE, DIGEST, boot_signature(IMAGE))
    await chip.set_root_keys(ROOTS)
    await chip.enable_secure_boot(boot_signature(IMAGE))
    await chip.lock_debug()
    return key.spki_der


class AdapterContract:
    """Mix into a test class that has a `subject` fixture."""

    async def test_identity_fits_the_family(self, subject):
        identity = await subject.chip.identify()

        assert (identity.soc, identity.lifecycle) == (subject.soc, Lifecycle.LIFECYCLE_BLANK)
        assert identity.debug == DebugState.DEBUG_STATE_OPEN
        assert 4 <= len(identity.uid) == subject.chip.capabilities.uid_bytes <= 32

    async def test_a_key_is_made_once_and_its_request_can_be_read_again(self, subject):
        made = await subject.chip.generate_dac()
        again = await subject.chip.read_request()

        await refuses(subject.chip.generate_dac())
        assert parse_csr(made.csr_der) == parse_csr(again.csr_der)

    async def test_a_key_outlasts_a_loss_of_power(self, subject):
        made = await subject.chip.generate_dac()
        await subject.power_cycle()

        assert parse_csr((await subject.chip.read_request()).csr_der) == parse_csr(made.csr_der)

    async def test_factory_data_is_read_back_as_it_was_written(self, subject):
        await subject.chip.generate_dac()
        data = factory_data((await subject.chip.identify()).uid)

        assert await subject.chip.install_factory_data(data) == data.digest()
        assert await subject.chip.read_factory_data(data.blinding) == data

    async def test_factory_data_may_be_written_again_before_the_lock(self, subject):
        await subject.chip.generate_dac()
        uid = (await subject.chip.identify()).uid
        await subject.chip.install_factory_data(factory_data(uid))
        second = factory_data(uid)

        assert await subject.chip.install_factory_data(second) == second.digest()

    async def test_an_image_with_another_digest_is_refused(self, subject):
        await subject.chip.generate_dac()

        await refuses(subject.chip.program(IMAGE, bytes(32), b""))

    async def test_an_image_signed_by_another_key_does_not_get_secure_boot(self, subject):
        chip = subject.chip
        await chip.generate_dac()
        await chip.install_factory_data(factory_data((await chip.identify()).uid))
        await chip.program(IMAGE, DIGEST, b"")
        await chip.set_root_keys(ROOTS)
        forged = p256("stranger").private.sign(IMAGE, ec.ECDSA(hashes.SHA256()))

        await refuses(chip.enable_secure_boot(forged))
        await refuses(chip.lock_debug())

    async def test_roots_are_burnt_once(self, subject):
        await subject.chip.set_root_keys(ROOTS)
        await subject.chip.set_root_keys(ROOTS)

        await refuses(subject.chip.set_root_keys(replace(ROOTS, debug_spki_der=p256("stranger").spki)))

    async def test_a_lock_that_nothing_could_open_is_refused(self, subject):
        await refuses(subject.chip.set_root_keys(replace(ROOTS, debug_spki_der=b"")), "PREFLIGHT_FAILED")

    async def test_an_unfinished_chip_is_not_locked(self, subject):
        await subject.chip.generate_dac()
        await subject.chip.set_root_keys(ROOTS)

        await refuses(subject.chip.lock_debug())

    async def test_a_locked_chip_takes_nothing_more(self, subject):
        await provisioned(subject)
        chip, data = subject.chip, factory_data(b"other")

        await refuses(chip.load_agent(b"agent"))
        await refuses(chip.generate_dac())
        await refuses(chip.install_factory_data(data))
        await refuses(chip.read_factory_data(data.blinding))
        await refuses(chip.program(IMAGE, DIGEST, boot_signature(IMAGE)))
        await refuses(chip.set_root_keys(replace(ROOTS, minimum_version=0)))
        assert (await chip.identify()).lifecycle == Lifecycle.LIFECYCLE_LOCKED

    async def test_the_report_tells_the_chip_s_own_state_under_its_own_key(self, subject):
        spki = await provisioned(subject)

        report = verify_single(await subject.chip.report(AUTH, NONCE), DEVICE_REPORT, spki, SigScheme.SIG_SCHEME_P256)

        assert isinstance(report, DeviceReport)
        assert (report.auth_id, report.boundary_nonce, report.firmware_digest) == (AUTH, NONCE, DIGEST)
        assert (report.lifecycle, report.debug_state) == (
            Lifecycle.LIFECYCLE_LOCKED,
            DebugState.DEBUG_STATE_LOCKED,
        )
        assert report.agent_digest == sha256(b"agent").digest()

    async def test_debug_opens_for_one_answer_to_one_challenge(self, subject):
        await provisioned(subject)
        chip = subject.chip
        answer = response(await chip.debug_challenge())

        assert await chip.debug_unlock(answer) == DebugState.DEBUG_STATE_REOPENED
        assert await chip.debug_close() == DebugState.DEBUG_STATE_LOCKED
        await refuses(chip.debug_unlock(answer))
        await chip.debug_challenge()
        await refuses(chip.debug_unlock(answer))

    @pytest.mark.parametrize("wrong", ["key", "uid", "challenge"])
    async def test_a_wrong_debug_answer_uses_the_challenge_up(self, subject, wrong):
        await provisioned(subject)
        chip = subject.chip
        challenge = await chip.debug_challenge()

        await refuses(chip.debug_unlock(response(challenge, wrong)))
        await refuses(chip.debug_unlock(response(challenge)))

    async def test_a_loss_of_power_closes_the_debug_port(self, subject):
        await provisioned(subject)
        await subject.chip.debug_unlock(response(await subject.chip.debug_challenge()))
        await subject.power_cycle()

        assert (await subject.chip.identify()).debug == DebugState.DEBUG_STATE_LOCKED

    async def test_an_open_chip_is_asked_for_no_challenge(self, subject):
        await refuses(subject.chip.debug_challenge())


def response(challenge: bytes, wrong: str = ""):
    """A DebugResponse as EdgeHSM signs it, or one that is wrong in one thing."""
    asked = DebugChallenge.FromString(challenge)
    device = asked.device
    if wrong == "uid":
        device.uid = bytes(len(device.uid))
    digest = sha256(challenge if wrong != "challenge" else secrets.token_bytes(40)).digest()
    said = DebugResponse(
        challenge_digest=digest, device=device, permissions=3, session_id=b"s" * 16, time_box_seconds=60
    )
    signer = DEBUG if wrong != "key" else p256("stranger")
    return make_envelope(DEBUG_RESPONSE, said.SerializeToString(deterministic=True), [signer])
