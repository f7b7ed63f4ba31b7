"""Grey box: what of the relay's own code a run reaches, where the relay tells. It guides programs and is a figure."""
