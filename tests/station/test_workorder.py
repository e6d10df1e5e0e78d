"""A station believes no courier: each lie about a work order has its own word."""

from dataclasses import replace
from hashlib import sha256

import pytest

from obis.refusal import Refused, word
from obis.trust import payload
from station.preflight import require_able, require_image
from station.silicon.registry import FAMILIES, family
from station.workorder import Pinned, verify_work_order
from tests.obis.trust.keys import p256
from tests.obis.trust.people import ALICE, BOB, CAROL, SITE_ROOT
from tests.station.orders import DEBUG, FINGERPRINT, IMAGE, PINNED, Making, signed


def refused(work, pinned=PINNED) -> str:
    with pytest.raises(Refused) as no:
        verify_work_order(work, pinned)
    return word(no.value.reason)


def test_a_true_order_gives_all_a_session_needs():
    order, root_version = verify_work_order(Making().work_order(), PINNED)

    assert (order.soc, order.product_name, order.edgehsm_id, root_version) == ("generic-wifi", "Lamp", "edge-th", 1)
    assert order.debug_spki_der == DEBUG.spki
    assert order.secure_boot_spki_der
    require_image(order, IMAGE)


def test_another_fingerprint_believes_nothing():
    assert refused(Making().work_order(), Pinned(b"x" * 32, "th-1")) == "TRUST_ROOT_INVALID"


def test_an_older_root_than_one_seen_is_stale():
    assert refused(Making().work_order(), Pinned(FINGERPRINT, "th-1", root_version=2)) == "TRUST_ROOT_STALE"


def test_a_site_root_that_the_mesh_does_not_know():
    """Whoever answers an enrolment could name a root of its own: the first order gives it away."""
    mine, foreign = SITE_ROOT.spki, p256("a courier's site root").spki
    verify_work_order(Making().work_order(), replace(PINNED, site_root_spki_der=mine))

    assert refused(Making().work_order(), replace(PINNED, site_root_spki_der=foreign)) == "TRUST_ROOT_INVALID"


def test_an_order_for_another_factory():
    assert refused(Making().work_order(), Pinned(FINGERPRINT, "vn-1")) == "WRONG_FACTORY"


@pytest.mark.parametrize(
    ("part", "bend", "reason"),
    [
        ("manifest", lambda m: setattr(m, "firmware_version", "2"), "DIGEST_MISMATCH"),
        ("grant", lambda m: setattr(m, "firmware_digest", b"x" * 32), "DIGEST_MISMATCH"),
        ("grant", lambda m: setattr(m, "soc", "generic-ble"), "DIGEST_MISMATCH"),
        ("grant", lambda m: setattr(m, "agent_digest", b""), "DIGEST_MISMATCH"),
        ("authorization", lambda m: setattr(m, "quantity", 21), "EDGE_CAP_EXCEEDED"),
        ("authorization", lambda m: setattr(m, "pai_cert_digest", b"x" * 32), "DIGEST_MISMATCH"),
        ("rule", lambda m: setattr(m, "paa_cert_digest", b"x" * 32), "DIGEST_MISMATCH"),
        ("approval", lambda m: setattr(m, "epoch", 2), "WRONG_EDGEHSM"),
        ("pai_request", lambda m: setattr(m, "product_id", b"x" * 16), "WRONG_EDGEHSM"),
        ("pai_request", lambda m: setattr(m, "pai_csr_der", p256("other").csr()), "DIGEST_MISMATCH"),
    ],
)
def test_a_bent_part_is_refused(part, bend, reason):
    assert refused(Making().work_order(**{part: bend})) == reason


def test_a_courier_cannot_put_its_own_debug_root_into_a_chip():
    work = Making().work_order()
    work.debug_spki_der = p256("courier").spki

    assert refused(work) == "DIGEST_MISMATCH"


def test_a_debug_root_signed_by_a_key_nobody_approved():
    bent = Making().work_order()
    asked = payload.PAI_REQUEST.message.FromString(bent.pai_request.payload)
    asked.debug_spki_der = p256("courier").spki
    bent.pai_request.CopyFrom(signed(payload.PAI_REQUEST, asked, p256("courier")))
    bent.debug_spki_der = asked.debug_spki_der

    assert refused(bent) == "KEY_UNKNOWN"


def test_a_grant_that_one_person_signed():
    work = Making().work_order()
    grant = payload.GRANT.message.FromString(work.grant.payload)
    work.grant.CopyFrom(signed(payload.GRANT, grant, BOB))

    assert refused(work) == "THRESHOLD_NOT_MET"


def test_a_grant_that_its_proposer_signed():
    work = Making().work_order()
    grant = payload.GRANT.message.FromString(work.grant.payload)
    work.grant.CopyFrom(signed(payload.GRANT, grant, ALICE, CAROL))

    assert refused(work) == "PROPOSER_SIGNED"


def test_a_work_order_without_its_rule_is_not_believed():
    work = Making().work_order()
    work.ClearField("product_rule")

    with pytest.raises(Refused):
        verify_work_order(work, PINNED)


def test_another_image_is_not_the_granted_one():
    with pytest.raises(Refused, match="FIRMWARE_NOT_GRANTED"):
        require_image(Making().order(), IMAGE + b"\0")


def test_an_image_that_would_not_boot_stops_before_the_first_chip():
    bent = Making(image=IMAGE)
    manifest = bent.manifest()
    signature = manifest.firmware_signature[:-1] + bytes([manifest.firmware_signature[-1] ^ 1])
    changed = bent.manifest()
    changed.firmware_signature = signature
    digest = sha256(changed.SerializeToString(deterministic=True)).digest()
    work = bent.work_order(manifest=lambda m: m.CopyFrom(changed), grant=lambda g: setattr(g, "version_digest", digest))

    order, _ = verify_work_order(work, PINNED)
    with pytest.raises(Refused, match="PREFLIGHT_FAILED"):
        require_image(order, IMAGE)


@pytest.mark.parametrize("soc", [each.soc for each in FAMILIES])
def test_a_family_is_asked_only_for_what_it_can(soc):
    order, able = Making().order(), family(soc).capabilities
    require_able(order, able)
    order.chip_security.flash_encryption = True

    if able.flash_encryption:
        require_able(order, able)
    else:
        with pytest.raises(Refused, match="PREFLIGHT_FAILED"):
            require_able(order, able)


def test_a_chip_that_takes_secrets_in_clear_is_not_used():
    able = replace(family("generic-wifi").capabilities, red_line_capable=False)

    with pytest.raises(Refused, match="PREFLIGHT_FAILED"):
        require_able(Making().order(), able)
