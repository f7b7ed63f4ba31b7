"""What the suite talks about: requirements, profiles, programs, histories, and what may become of a frame. Plain data
and rules; no input or output."""
