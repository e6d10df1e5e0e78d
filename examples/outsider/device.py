"""A device whose key lives in an `openssl` file: what a chip does with silicon, done with a command.

It makes its key, signs its certification request and its report, and gives the key to nobody; only that it is a file
and not a fuse makes it no chip.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from obis.v1.device_objects_pb2 import DeviceReport
from obis.v1.envelope_pb2 import Envelope, Sig, SigScheme

REPORT_TYPE = "application/vnd.obis.device-report.v1+protobuf"
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256's base point, SEC 2 2.4.2


@dataclass(frozen=True)
class OpensslDevice:
    """A device and the file that holds its key."""

    soc: str
    uid: bytes
    key_file: Path

    def make_key(self) -> None:
        """Once; a key that is there stays."""
        if not self.key_file.exists():
            openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", str(self.key_file))

    def request(self) -> bytes:
        """DER PKCS#10. EdgeHSM takes the key from it, and nothing else."""
        return openssl(
            "req", "-new", "-sha256", "-key", str(self.key_file), "-subj", f"/CN={self.uid.hex()}", "-outform", "DER"
        )

    def public_key(self) -> bytes:
        """DER SubjectPublicKeyInfo."""
        return openssl("pkey", "-in", str(self.key_file), "-pubout", "-outform", "DER")

    def sign(self, report: DeviceReport) -> Envelope:
        """DSSE over the exact report bytes: ECDSA P-256 with SHA-256, DER, low S."""
        payload = report.SerializeToString(deterministic=True)
        pae = b"DSSEv1 %d %b %d %b" % (len(REPORT_TYPE), REPORT_TYPE.encode(), len(payload), payload)
        signature = openssl("dgst", "-sha256", "-sign", str(self.key_file), given=pae)
        sig = Sig(
            sig=with_low_s(signature),
            key_id=sha256(self.public_key()).hexdigest(),
            scheme=SigScheme.SIG_SCHEME_P256,
        )
        return Envelope(payload=payload, payload_type=REPORT_TYPE, signatures=[sig])


def openssl(*arguments: str, given: bytes | None = None) -> bytes:
    """What the command prints; raises CalledProcessError."""
    return subprocess.run(["openssl", *arguments], input=given, capture_output=True, check=True).stdout


def with_low_s(signature_der: bytes) -> bytes:
    """The same signature with s at most half the order: `SEQUENCE { INTEGER r, INTEGER s }` of less than 128 octets."""
    at = 4 + signature_der[3]
    r, s = int.from_bytes(signature_der[4:at]), int.from_bytes(signature_der[at + 2 :])
    body = b"".join(_integer(each) for each in (r, min(s, ORDER - s)))
    return bytes([0x30, len(body)]) + body


def _integer(value: int) -> bytes:
    octets = value.to_bytes(value.bit_length() // 8 + 1)
    return bytes([0x02, len(octets)]) + octets
