"""The one exception that means: the input is at fault, and here is how to mend it."""


class BadInput(ValueError):
    """An input that cannot be used, told in one sentence.

    The message says what must hold, what came instead and the likely fix, names
    the argument and its unit, and holds no absolute path and no patient's name.
    On the command line it becomes ``error: …`` and exit status 2.
    """
