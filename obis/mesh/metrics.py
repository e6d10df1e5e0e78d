"""What a server counts: calls by method, role, status code and reason; their time; and how many are open.

Labels come from closed sets alone (methods, roles, codes, reasons), never from what a caller sends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram

# Seconds: from a health check to a batch of 256 devices with fsync, and past the deadline of a unary call.
_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


@dataclass(frozen=True)
class CallMetrics:
    """The instruments of one server."""

    handled: Counter
    seconds: Histogram
    open: Gauge

    @classmethod
    def on(cls, registry: CollectorRegistry) -> CallMetrics:
        """New instruments; raises ValueError if the registry has them already."""
        return cls(
            Counter("obis_rpc_handled", "Calls answered.", ["method", "role", "code", "reason"], registry=registry),
            Histogram("obis_rpc_seconds", "Time of a call.", ["method"], buckets=_BUCKETS, registry=registry),
            Gauge("obis_rpc_open", "Calls being served.", ["method"], registry=registry),
        )

    def end(self, method: str, role: str, code: str, reason: str, seconds: float) -> None:
        """One call is over."""
        self.handled.labels(method, role, code, reason).inc()
        self.seconds.labels(method).observe(seconds)


_of_registry: dict[CollectorRegistry, CallMetrics] = {}


def call_metrics(registry: CollectorRegistry = REGISTRY) -> CallMetrics:
    """The instruments on a registry: servers of one process share them."""
    if registry not in _of_registry:
        _of_registry[registry] = CallMetrics.on(registry)
    return _of_registry[registry]
