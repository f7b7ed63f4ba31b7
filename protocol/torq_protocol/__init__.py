"""Protocol V2 of the Torq trading platform: the wire, without I/O."""
