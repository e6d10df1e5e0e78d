"""Matter device attestation and onboarding, as pure functions: no gRPC, no SQL, no clock, no files, no private keys.

Builders write certificates (`paa`, `pai`, `dac`), the lint reads them back without sharing code with the builders
(`lint`, `lint_chain`, `lint_fast`); `csr` proves possession; `declaration` judges what the Alliance signed; `onboarding`
and `spake2p` make what is printed and what is written; `factory_data` holds it. docs/matter.md lists the rules.
"""
