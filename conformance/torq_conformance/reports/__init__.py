"""Reports of a run: one model, written as JSON, JUnit, HTML and Markdown while the run goes."""
