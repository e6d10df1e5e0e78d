"""How rooms meet: who a peer is, what it may call, and what a refusal looks like on the wire."""
