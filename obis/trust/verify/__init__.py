"""The offline verifier: everything an export claims, checked against the fingerprint of a trust root and nothing else.

`verify_export` takes the files as a mapping from path to bytes and returns a Verdict or raises Refused with a reason,
what is wrong and where. It holds no state, reads no clock and asks no server. In this order:

 1. `roots`: the trust root walked from the fingerprint; the manifest signed by ONLINE; the mesh's own certificates.
 2. `files`: each file as the manifest lists it, by SHA-256 and size; none missing, none more.
 3. `governance`: each rule, Grant, approval and Authorization by its quorum; the chains; each subset of its superset.
 4. `certificates`: PAAs, PAIs and site CAs, the orders behind them, the vault's own chain of acts.
 5. `log`: each log contiguous, closed, rooted in its checkpoint, signed by its EdgeHSM, seen by the witness.
 6. `replay`: what each log says happened, judged leaf by leaf as the gate should have judged it.
 7. `counts`: the sums over all logs.
"""

from obis.trust.verify.export import verify_export
from obis.trust.verify.verdict import Verdict

__all__ = ["Verdict", "verify_export"]
