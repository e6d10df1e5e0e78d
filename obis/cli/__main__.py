"""`python -m obis.cli` is `obis`."""

from obis.cli import app

app()
