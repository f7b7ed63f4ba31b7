"""What a history may not contain: one function for each fault that can be seen."""
