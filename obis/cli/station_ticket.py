"""A supervisor lets one station, or one supervisor's client, into the site: a StationTicket under their SITE key.

The ticket names the digest of the station's own transport key, so it is no secret and good for nobody else.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final

from obis.cli.approver_key import ApproverKey
from obis.trust import payload
from obis.trust.envelope import make_envelope
from obis.v1.enrolment_objects_pb2 import SiteRole, StationTicket
from obis.v1.envelope_pb2 import Envelope

VALID_SECONDS: Final = 86400


def make_station_ticket(
    key: ApproverKey,
    *,
    factory_id: str,
    station_id: str,
    line_id: str,
    spki_digest: bytes,
    now: int,
    role: SiteRole.ValueType = SiteRole.SITE_ROLE_STATION,
    product_ids: Sequence[bytes] = (),
    valid_seconds: int = VALID_SECONDS,
) -> Envelope:
    """The signed ticket. No product ids: every product of the site. Raises Refused for ids the contract forbids."""
    ticket = StationTicket(
        ticket_id=os.urandom(16),
        factory_id=factory_id,
        role=role,
        station_id=station_id,
        line_id=line_id,
        spki_digest=spki_digest,
        product_ids=product_ids,
        expires_at=now + valid_seconds,
    )
    return make_envelope(payload.STATION_TICKET, ticket.SerializeToString(deterministic=True), [key])
