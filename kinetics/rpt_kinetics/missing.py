"""What to say where a library of the commands is not installed; needs none of them itself."""

LIBRARIES = ("typer", "rich", "matplotlib", "nibabel")


def missing_sentence(error: ModuleNotFoundError) -> str | None:
    """Return how to install what is missing, or None if it is no library of the commands."""
    library = (error.name or "").partition(".")[0]
    if library not in LIBRARIES:
        return None
    return f"this command needs {library}: pip install 'rpt-kinetics[commands]'."
