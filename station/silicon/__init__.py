"""Chips: one file a family, each with its encoding and its flags; no key, no policy, no product in any of them.

`family` is what a chip is, `adapter` what a session asks of any chip, `generic` how the five generic families answer
over a transport, `registry` which families there are. docs/new-soc.md says how to add one.
"""
