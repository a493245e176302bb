"""What the lab raises when the world is not as a test needs it."""


class LabError(Exception):
    """A command failed or a condition did not come about; the text says which, with its output."""
