"""The trust root as the cloud keeps it: walked from the first version, once, and again for each new one.

The cloud's own pin is the fingerprint of the version 1 it was given at `init-root`; it has no other root of trust.
"""

from __future__ import annotations

from sqlmodel import Session, col, func, select

from cloud.store.governance import TrustRootRow
from obis.refusal import Refused
from obis.trust.envelope import digest, parse_envelope
from obis.trust.trust_root import TrustRootView, walk
from obis.v1.envelope_pb2 import Envelope
from obis.v1.reason_pb2 import Reason


class Roots:
    """Reads trust roots from the store; walks a version only once."""

    def __init__(self) -> None:
        self._newest: TrustRootView | None = None

    def view(self, session: Session) -> TrustRootView:
        """The newest version. Raises Refused DEPENDENCY_MISSING before `init-root`."""
        version = session.exec(select(func.max(TrustRootRow.version))).one()
        known = self._newest
        if known is None or known.version != version:
            known = self._newest = walk(self.envelopes(session), fingerprint(session))
        return known

    @staticmethod
    def envelopes(session: Session) -> list[Envelope]:
        """Every version in order."""
        rows = session.exec(select(TrustRootRow.envelope).order_by(col(TrustRootRow.version)))
        return [Envelope.FromString(row) for row in rows]


def store_root(session: Session, envelope_bytes: bytes, *, now: int) -> TrustRootView:
    """Keep a version that follows from those here, or version 1 as the mesh's pin. Raises Refused."""
    envelope = parse_envelope(envelope_bytes)
    before = Roots.envelopes(session)
    fingerprint = digest(before[0].payload if before else envelope.payload)
    view = walk([*before, envelope], fingerprint)
    session.add(
        TrustRootRow(
            version=view.version,
            payload_digest=view.payload_digest,
            envelope=envelope.SerializeToString(deterministic=True),
            stored_at=now,
        )
    )
    return view


def fingerprint(session: Session) -> bytes:
    """SHA-256 of version 1's payload, 32 bytes. Raises Refused DEPENDENCY_MISSING."""
    envelopes = Roots.envelopes(session)
    if not envelopes:
        raise Refused(
            Reason.REASON_DEPENDENCY_MISSING, "there is no trust root yet", "trust root", "run `cloud init-root`"
        )
    return digest(envelopes[0].payload)
