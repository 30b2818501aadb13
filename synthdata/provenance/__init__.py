"""Is this image synthetic? Marks in the header, a keyed watermark in the pixels, hashes in a registry."""
