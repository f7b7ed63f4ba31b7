"""What is left of a comparison when it is over: screens, reports, counterexamples."""
