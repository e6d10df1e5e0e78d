"""Makes spake2p.json with the pure-Python package ecdsa. Not run by the tests: see README.md.

pip install ecdsa==0.19.2 && npm install @matter/general@0.17.9
python spake2p_by_ecdsa.py spake2p.json && node spake2p_by_matterjs.mjs spake2p.json
"""

import hashlib
import json
import random
import sys
from pathlib import Path

from ecdsa.curves import NIST256p

CASES = [(20202021, b"SPAKE2P Key Salt", 1000), (1, bytes(16), 1000), (99999998, b"\xff" * 32, 1001)]


def random_cases(count):
    draw = random.Random(b"obis spake2p vectors")
    for _ in range(count):
        salt = draw.randbytes(draw.randrange(16, 33))
        yield draw.randrange(1, 99999999), salt, draw.choice([1000, 1500, 10000])


def verifier(passcode, salt, iterations):
    octets = hashlib.pbkdf2_hmac("sha256", passcode.to_bytes(4, "little"), salt, iterations, 80)
    w0, w1 = (int.from_bytes(half, "big") % NIST256p.order for half in (octets[:40], octets[40:]))
    return w0.to_bytes(32, "big") + (NIST256p.generator * w1).to_bytes("uncompressed")


def main():
    rows = [
        {
            "passcode": passcode,
            "salt": salt.hex(),
            "iterations": count,
            "verifier": verifier(passcode, salt, count).hex(),
        }
        for passcode, salt, count in [*CASES, *random_cases(20)]
    ]
    Path(sys.argv[1]).write_text("[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


if __name__ == "__main__":
    main()
