"""`make demo`: the whole mesh on one machine, through the seven steps, the failures and the proof.

The runner starts real processes with identities of their own and speaks to them only as people and programs would: by
the public RPCs, by the `obis` command, by signals. It imports no room.
"""
