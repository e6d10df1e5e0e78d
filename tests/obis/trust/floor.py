"""What happens on the floor of the miniature mesh: each EdgeHSM's log, six devices in each, signed and seen."""

from hashlib import sha256

from cryptography import x509

from obis.matter import profile
from obis.matter.ids import ProductId, VendorId
from obis.trust.checkpoint import Checkpoint, cosign_note, log_origin, sign_note, witness_name
from obis.trust.envelope import digest, make_envelope, parse_envelope
from obis.trust.merkle import Frontier, leaf_hash
from obis.trust.payload import (
    DEVICE_REPORT,
)
from obis.v1.device_objects_pb2 import DebugState, DeviceReport, Lifecycle
from obis.v1.leaf_pb2 import LogLeaf
from obis.v1.reason_pb2 import Reason
from obis.v1.scope_pb2 import Assurance, DeviceId, EvidenceLevel, TimeQuality
from tests.obis.trust import objects, people
from tests.obis.trust.keys import Key, ed, p256
from tests.obis.trust.people import BEGIN, SITE_TH, SITE_VN
from tests.obis.trust.pki import dac_template, datetime_of

SITES = {"edge-th": ("th-1", SITE_TH), "edge-vn": ("vn-1", SITE_VN)}
FIRMWARE = sha256(b"firmware").digest()
STATION = sha256(b"station key").digest()
HOUR = 3600


def whole(message) -> bytes:
    return message.SerializeToString(deterministic=True)


def nonce(number: int) -> bytes:
    return bytes([65 + number]) * 16


class Floor:
    """The part of a `World` that writes logs."""

    def _log(self, edgehsm: str):
        leaves = self._edit(f"leaves {edgehsm}", list(self._story(edgehsm)))
        frontier, content = Frontier(), b""
        for index, leaf in enumerate(leaves):
            leaf.edgehsm_id, leaf.epoch, leaf.index = edgehsm, 1, index
            if leaf.HasField("incarnation"):
                leaf.incarnation.previous_root = frontier.root()
            data = whole(self._edit(f"leaf {edgehsm} {index}", leaf))
            frontier = frontier.append(leaf_hash(data))
            content += len(data).to_bytes(4) + data
        log, witness = ed(f"{edgehsm} log"), people.WITNESS
        note = sign_note(Checkpoint(log_origin(edgehsm, 1), frontier.size, frontier.root()), log.spki, log.sign)
        name = witness_name(self.fingerprint)
        note = cosign_note(note, name, witness.spki, witness.sign, BEGIN + 19 * HOUR)
        self.files[f"logs/{edgehsm}-1.leaves"] = content
        self.files[f"logs/{edgehsm}-1.checkpoint"] = note

    def _story(self, edgehsm: str):
        auth = self.auths[edgehsm]
        grant_digest = digest(whole(self.grant))
        cap = next(each.max_quantity for each in self.grant.edge_caps if each.edgehsm_id == edgehsm)
        yield self.leaf(0, incarnation={"incarnation": sha256(edgehsm.encode()).digest(), "previous_root": bytes(32)})
        yield self.leaf(
            0, grant_admitted={
                "grant_digest": grant_digest,
                "rule_digest": self.grant.rule_digest,
                "product_id": objects.PRODUCT,
                "edge_cap": cap,
            }
        )  # fmt: skip
        yield self.leaf(
            0, product_keys={
                "product_id": objects.PRODUCT,
                "grant_digest": grant_digest,
                "pai_spki_digest": sha256(p256(f"{edgehsm} pai").spki).digest(),
                "debug_spki_digest": sha256(p256(f"{edgehsm} debug").spki).digest(),
            }
        )  # fmt: skip
        pai_digest = sha256(self.pais[edgehsm]).digest()
        yield self.leaf(0, pai_installed={"product_id": objects.PRODUCT, "pai_cert_digest": pai_digest})
        yield self.leaf(1, station_enrolled={
            "ticket_id": b"t" * 16, "station_id": "st-1", "spki_digest": STATION, "cert_digest": bytes(32),
            "signed_by": SITES[edgehsm][1].key_id, "line_id": "l-1",
        })  # fmt: skip
        yield self.leaf(1, revocation={"sequence": 1, "payload_digest": digest(self._revoked())})
        yield self.leaf(1, authorization_admitted={
            "auth_id": auth.auth_id, "authorization_digest": digest(whole(auth)), "grant_digest": auth.grant_digest,
            "sequence": auth.sequence, "quantity": auth.quantity, "package_digest": auth.package_digest,
        })  # fmt: skip
        yield from self._devices(edgehsm)
        yield self.leaf(9, refused={"reason": Reason.REASON_QUANTITY_SPENT, "auth_id": auth.auth_id, "suppressed": 2})
        yield self.leaf(10, authorization_closed={"auth_id": auth.auth_id, "used": 6, "close_reason": 1})

    def _revoked(self) -> bytes:

        return parse_envelope(self.files["revocations/0001.dsse"]).payload

    def _devices(self, edgehsm: str):
        """Six devices: four good ones, of which one had its DAC replaced and one its debug port opened; one failed;
        of one nobody said anything."""
        auth = self.auths[edgehsm]
        for number in range(6):
            device, key = (
                DeviceId(soc="generic-wifi", uid=b"%d" % number + edgehsm.encode()),
                p256(f"{edgehsm} {number}"),
            )
            dac = self.dac(edgehsm, key, bytes([number]) * 8)
            self.issued.setdefault(edgehsm, []).append((device, key, dac))
            yield self.leaf(2, station_key_digest=STATION, issued=self.issue(auth, device, key, dac, number + 1))
            yield self.leaf(2, station_key_digest=STATION, firmware_authorized={
                "auth_id": auth.auth_id, "device": device, "firmware_digest": FIRMWARE,
            })  # fmt: skip
        for number, (device, key, _) in enumerate(self.issued[edgehsm][:4]):
            yield self.leaf(3, station_key_digest=STATION, outcome=self.outcome(auth, device, key, nonce(number)))
        yield self.leaf(3, outcome={
            "auth_id": auth.auth_id, "device": self.issued[edgehsm][4][0],
            "passed": False, "reason": Reason.REASON_LABEL_MISMATCH,
            "evidence": EvidenceLevel.EVIDENCE_LEVEL_STATION_REPORTED,
        })  # fmt: skip
        yield from self._rework(edgehsm)

    def _rework(self, edgehsm: str):
        auth, (device, _, old) = self.auths[edgehsm], self.issued[edgehsm][0]
        key = p256(f"{edgehsm} replacement")
        dac = self.dac(edgehsm, key, b"replaced")
        yield self.leaf(5, replaced={
            "auth_id": auth.auth_id, "device": device, "spki_digest": sha256(key.spki).digest(), "dac_der": dac,
            "replaced_serial": x509.load_der_x509_certificate(old).serial_number.to_bytes(12), "count": 1,
            "boundary_nonce": b"R" * 16,
        })  # fmt: skip
        yield self.leaf(5, outcome=self.outcome(auth, device, key, b"R" * 16))
        device, key, _ = self.issued[edgehsm][1]
        yield self.leaf(6, debug_opened={
            "auth_id": auth.auth_id, "device": device, "session_id": b"s" * 16, "challenge_digest": b"c" * 32,
            "permissions": 1, "close_before": BEGIN + 7 * HOUR, "rework_reason": "solder",
        })  # fmt: skip
        report = self.report(auth, device, key, b"s" * 16)
        yield self.leaf(6, debug_closed={
            "session_id": b"s" * 16, "device": device, "report": report,
            "evidence": EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
        })  # fmt: skip

    def leaf(self, hour: int, station_key_digest: bytes = b"", **entry) -> LogLeaf:
        return LogLeaf(
            at=BEGIN + hour * HOUR,
            time_quality=TimeQuality.TIME_QUALITY_BEACONED,
            assurance=Assurance.ASSURANCE_SOFTWARE,
            station_key_digest=station_key_digest,
            **entry,
        )

    def issue(self, auth, device, key, dac, count):
        return {
            "auth_id": auth.auth_id,
            "device": device,
            "spki_digest": sha256(key.spki).digest(),
            "dac_der": dac,
            "count": count,
            "boundary_nonce": nonce(count - 1),
        }

    def outcome(self, auth, device, key, boundary_nonce, **changed):
        return {
            "auth_id": auth.auth_id,
            "device": device,
            "passed": True,
            "evidence": EvidenceLevel.EVIDENCE_LEVEL_CHIP_SIGNED,
            "report": self.report(auth, device, key, boundary_nonce, **changed),
        }

    def report(self, auth, of, key, boundary_nonce, **changed):
        said = DeviceReport(
            auth_id=auth.auth_id,
            device=of,
            boundary_nonce=boundary_nonce,
            firmware_digest=FIRMWARE,
            lifecycle=Lifecycle.LIFECYCLE_LOCKED,
            debug_state=DebugState.DEBUG_STATE_LOCKED,
        )
        said.MergeFrom(DeviceReport(**changed))
        return make_envelope(DEVICE_REPORT, whole(said), [key])

    def dac(self, edgehsm: str, key: Key, random: bytes, issuer: str = "", **changed) -> bytes:
        """A DAC as the boundary makes it; `issuer` names another key to sign with, `changed` bends the template."""
        auth = self.auths[edgehsm]
        asked = {
            "vendor_id": VendorId(auth.template.vendor_id),
            "product_id": ProductId(auth.template.product_code),
            "common_name_pattern": auth.template.common_name_pattern,
            "not_before": datetime_of(auth.dac_not_before),
            "not_after": datetime_of(auth.template.not_after),
            "serial_prefix": auth.serial_prefix,
            "pai_der": self.pais[edgehsm],
        }
        template = dac_template(**asked | changed)
        tbs = template.tbs(key.point, template.serial_prefix + random)
        return profile.splice(tbs, p256(issuer or f"{edgehsm} pai").sign(tbs))
