"""The hot path's share of the raw cost of a device: one P-256 verification and one signature in the same run."""

from time import perf_counter

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

from obis.matter import profile
from obis.matter.csr import parse_csr
from obis.matter.dac_check import sample_dac
from obis.matter.lint_fast import DacLint
from tests.obis.matter.pki import SERIAL, pki
from tests.obis.matter.test_csr import request

ROUNDS, CALLS = 15, 60
KEY, POINT, TEMPLATE, DAC = pki().pai_key, pki().dac_key.point, pki().template(), pki().dac()
CSR, LINT, TBS = request(), DacLint(pki().pai(), sample_dac(TEMPLATE)), TEMPLATE.tbs(POINT, SERIAL)
SIGNATURE, ALGORITHM = KEY.sign(TBS), ec.ECDSA(SHA256())
PUBLIC = KEY.private.public_key()


def verify_and_sign():
    PUBLIC.verify(SIGNATURE, TBS, ALGORITHM)
    KEY.private.sign(TBS, ALGORITHM)


# What may be spent, in raw verify and sign (64 us on the machine of docs/performance.md); measured: .02 .01 .06 1.2
LIMITS = [
    (lambda: TEMPLATE.tbs(POINT, SERIAL), 0.12),
    (lambda: profile.splice(TBS, SIGNATURE), 0.06),
    (lambda: LINT.lint(DAC, POINT), 0.25),
    (lambda: parse_csr(CSR), 2.0),
]


def fastest(call):
    """Seconds for one call, the best of the rounds: a busy machine only ever makes it slower."""
    best = float("inf")
    for _ in range(ROUNDS):
        started = perf_counter()
        for _ in range(CALLS):
            call()
        best = min(best, (perf_counter() - started) / CALLS)
    return best


@pytest.mark.serial
@pytest.mark.parametrize(("call", "limit"), LIMITS, ids=["tbs", "splice", "lint", "csr"])
def test_a_step_stays_within_its_share(call, limit):
    assert fastest(call) / fastest(verify_and_sign) < limit
