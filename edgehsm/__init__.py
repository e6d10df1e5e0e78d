"""The EdgeHSM's room: a network front without keys, and the boundary, the one place with keys."""
