"""The one place with keys on the floor: element, ledger, gate and log, behind a unix socket of intents.

Invariant: nothing leaves this process before its count and its record are durable (docs/issuance.md). No gRPC is
imported here and no network is used; what arrives is refused or recorded, never merely done.
"""
