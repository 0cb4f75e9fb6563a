"""The one exception that users are meant to see, and what memory that runs out looks like."""


class UserError(Exception):
    """What is wrong, where, and what to do, in one line; commands print it and exit with 1, without a traceback."""


# What CUDA, its libraries, torch on CPUs and C++ say.
OUT_OF_MEMORY = ("out of memory", "allocate memory", "not enough memory", "ALLOC_FAILED", "bad_alloc")


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that a device or the machine has no memory left."""
    return isinstance(error, MemoryError) or any(sign in str(error) for sign in OUT_OF_MEMORY)
