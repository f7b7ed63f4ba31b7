"""Playing a program on a real relay, and recording what is seen."""
