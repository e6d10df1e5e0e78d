"""What is let in from outside: every delivered object is judged here by the pinned trust, whoever carried it.

A delivery's wrapper is a courier's note: it is looked at, and nothing is believed because of it. An object in force
already is ALREADY_ADMITTED and leaves no leaf; a refusal by a rule leaves a rate-capped one with the object's digest;
malformed input leaves none. The same modules read the objects back at start (`restore`): recovery is the ordinary path.
"""
