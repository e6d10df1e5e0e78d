"""The contract, generated from proto/obis/v1 by hatch_build.py; nothing here is made by hand but this line."""
