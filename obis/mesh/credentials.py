"""What a room shows and whom it believes: mutual TLS, replaceable while it runs.

The server asks for its material at each handshake, so a renewed certificate or a changed CA needs no restart. A client
channel keeps what it was opened with: open a new one after a renewal.

TLS 1.3 is what both ends choose. gRPC for Python has no switch that forbids 1.2, so the interceptor refuses every call
that came over less (obis/mesh/calls.py).
"""

from __future__ import annotations

import grpc

from obis.mesh.authorities import Authorities
from obis.mesh.identity import Identity
from obis.mesh.transport import OwnCertificate


class Credentials:
    """One room's certificate and pinned CAs; `own` is None for somebody who has yet to enrol."""

    def __init__(self, authorities: Authorities, own: OwnCertificate | None = None) -> None:
        self.authorities = authorities
        self.own = own

    def replace(self, *, own: OwnCertificate | None = None, authorities: Authorities | None = None) -> None:
        """From the next handshake on, show this certificate or believe these CAs."""
        self.own = own or self.own
        self.authorities = authorities or self.authorities

    def server(self, *, ask_for_certificate: bool) -> grpc.ServerCredentials:
        """For a port. gRPC can ask for a client certificate and require it, or not ask: there is nothing between."""

        def at_handshake() -> grpc.ServerCertificateConfiguration:
            return self._configuration(ask_for_certificate=ask_for_certificate)

        return grpc.dynamic_ssl_server_credentials(
            at_handshake(), at_handshake, require_client_authentication=ask_for_certificate
        )

    def channel(self, server: Identity) -> grpc.ChannelCredentials:
        """For a connection to `server`: only the CAs pinned for its host may vouch for it."""
        return grpc.ssl_channel_credentials(
            root_certificates=self.authorities.roots_pem(server.host),
            private_key=self.own.key_pem if self.own else None,
            certificate_chain=self.own.chain_pem if self.own else None,
        )

    def _configuration(self, *, ask_for_certificate: bool) -> grpc.ServerCertificateConfiguration:
        if self.own is None:
            raise ValueError("a server needs a certificate: enrol first")
        roots = self.authorities.roots_pem() if ask_for_certificate else None
        return grpc.ssl_server_certificate_configuration([(self.own.key_pem, self.own.chain_pem)], roots)
