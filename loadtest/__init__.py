"""The proving ground: the demo, load, faults and the replayed month, all through the public RPCs."""
