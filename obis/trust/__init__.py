"""What is signed, sealed or chained, as pure functions: no gRPC, no SQL, no clock, no files, no private keys.

`payload` is the one table of signed types; `envelope` makes and opens them; `trust_root` says whose signature counts;
`rule`, `grant` and `authorization` say what follows from what; `package` seals; `merkle` and `checkpoint` chain;
`verify` reads a whole export. docs/formats.md gives every format to the byte.
"""
