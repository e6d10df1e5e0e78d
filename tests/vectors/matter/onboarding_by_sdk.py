"""Makes onboarding.json with the Matter SDK itself, and checks it with matter.js. Not run by the tests: see README.md.

    pip install home-assistant-chip-core==2025.7.0     (needs libnl-route-3)
    npm install @matter/types@0.17.9
    python onboarding_by_sdk.py onboarding.json && node onboarding_by_matterjs.mjs onboarding.json

That release of the SDK does not know the NFC bit of discovery yet, so no row has it.
"""

import json
import os
import random
import sys
from pathlib import Path

import chip.native
from chip.setup_payload import SetupPayload

CASES = [
    (0xFFF1, 0x8000, 0, 2, 3840, 20202021),
    (0xFFF1, 0x8000, 1, 2, 3840, 20202021),
    (0xFFF1, 0x8000, 2, 4, 3840, 20202021),
    (1, 1, 0, 2, 0, 1),
    (0xFFF4, 0xFFFF, 2, 15, 4095, 99999998),
    (0xFFF4, 0x8001, 0, 12, 0x0FF, 1),
    (0x1001, 0x0020, 0, 6, 0xF00, 87654320),
]


def random_cases(count):
    draw = random.Random(b"obis onboarding vectors")
    for _ in range(count):
        passcode = draw.randrange(1, 99999999)
        flow, discovery = draw.randrange(3), draw.randrange(1, 16)
        yield draw.randrange(1, 0xFFF5), draw.randrange(1, 0x10000), flow, discovery, draw.randrange(4096), passcode


def main():
    chip.native._GetLibraryHandle(chip.native.Library.CONTROLLER, False).initialized = True
    sdk, rows = SetupPayload(), []
    for vendor, product, flow, discovery, discriminator, passcode in [*CASES, *random_cases(120)]:
        asked = passcode, vendor, product, discriminator, flow, discovery, 0
        row = {"vendor_id": vendor, "product_id": product, "flow": flow, "discovery": discovery}
        row |= {"discriminator": discriminator, "passcode": passcode}
        row |= {"qr_code": sdk.GenerateQrCode(*asked), "manual_code": sdk.GenerateManualPairingCode(*asked)}
        rows.append(json.dumps(row))
    Path(sys.argv[1]).write_text("[\n" + ",\n".join(rows) + "\n]\n")
    os._exit(0)  # the SDK's own shutdown insists on a stack that was never started


if __name__ == "__main__":
    main()
