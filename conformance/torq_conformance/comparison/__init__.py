"""Two relays side by side: where the second differs from the first."""
