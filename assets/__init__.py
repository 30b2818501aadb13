"""The Dagster assets of one dataset: name, inputs, one call, metadata, checks. The knowledge is in `synthdata`."""
