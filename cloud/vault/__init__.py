"""The OEM's vault: holds the PAA and the site root, in a process the cloud cannot unlock.

Imports nothing of the cloud's own modules: they share a folder, not trust.
"""
