"""`python -m torq_conformance.specimens` is `torq-specimen`."""

from torq_conformance.specimens.cli import main

if __name__ == "__main__":
    main()
