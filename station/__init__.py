"""The programming station's room: one device at a time, asks for everything, may do nothing by itself."""
