"""One servicer per audience: decode, call one function of the room, encode. Identity, access and errors are the mesh's."""
