"""The one exception that users are meant to see."""


class UserError(Exception):
    """What is wrong, where, and what to do, in one line; commands print it and exit with 1, without a traceback."""
