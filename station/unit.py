"""What the station draws for one unit: passcode, discriminator, salt and the random octets of its factory data.

All of it comes from a generator fit for secrets and lives in memory alone. The passcode leaves as a label, the rest as
factory data; neither is logged, journalled or recorded.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field

from obis.matter.factory_data import BLINDING_BYTES, FactoryData
from obis.matter.onboarding import MAX_DISCRIMINATOR, OnboardingPayload
from obis.matter.passcode import draw_passcode
from obis.matter.spake2p import MAX_SALT_BYTES, make_verifier
from station.label import Label, make_label
from station.order import Order


@dataclass(frozen=True)
class Chance:
    """Where random numbers come from: evenly below n, and n octets."""

    below: Callable[[int], int] = secrets.randbelow
    octets: Callable[[int], bytes] = secrets.token_bytes


@dataclass(frozen=True)
class Drawn:
    """One unit's factory data and label."""

    data: FactoryData = field(repr=False)
    label: Label = field(repr=False)


def draw(order: Order, uid: bytes, dac_der: bytes, today: str, chance: Chance) -> Drawn:
    """Factory data and label of a unit; `today` is YYYYMMDD. The serial number is the uid in hex. Raises MatterError."""
    payload = OnboardingPayload(
        vendor_id=order.vendor_id,
        product_id=order.product_code,
        flow=order.flow,
        discovery=order.discovery,
        discriminator=chance.below(MAX_DISCRIMINATOR + 1),
        passcode=draw_passcode(chance.below),
    )
    template, salt, serial_number = order.template, chance.octets(MAX_SALT_BYTES), uid.hex()[:32].upper()
    data = FactoryData(
        vendor_id=order.vendor_id,
        product_id=order.product_code,
        vendor_name=template.vendor_name,
        product_name=template.product_name,
        part_number=template.part_number,
        product_url=template.product_url,
        product_label=template.product_label,
        hardware_version=template.hardware_version,
        hardware_version_string=template.hardware_version_string,
        manufacturing_date=today,
        serial_number=serial_number,
        discriminator=payload.discriminator,
        spake2p_verifier=make_verifier(payload.passcode, salt, template.spake2p_iterations),
        spake2p_salt=salt,
        spake2p_iterations=template.spake2p_iterations,
        rotating_id_unique_id=chance.octets(16),
        dac_der=dac_der,
        pai_der=order.pai_der,
        certification_declaration=order.certification_declaration,
        blinding=chance.octets(BLINDING_BYTES),
    )
    return Drawn(data, make_label(payload, template.product_name, serial_number))
