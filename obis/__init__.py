"""The floor all rooms stand on: generated stubs, mesh, trust, Matter, command line. It imports no room."""
