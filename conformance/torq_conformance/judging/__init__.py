"""From a requirement to a verdict."""
