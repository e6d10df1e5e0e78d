"""The OEM's room: governs products, versions, grants and batches; traces and witnesses what factories made."""
