"""The three domain logics of the platform and their daemons."""
