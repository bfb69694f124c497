"""The one exception that means: the input is at fault, and here is how to mend it."""


class BadInput(ValueError):
    """An input that cannot be used, told in one sentence.

    The message says what must hold, what came instead and the likely fix, names
    the file relative to the folder the user gave, and holds no patient's name.
    On the command line it becomes ``error: …`` and exit status 2.
    """
