"""Names from outside as parts of file names and of steps' folders."""


def slug(label: str) -> str:
    kept = "".join(c if c.isalnum() or c in "+." else "-" for c in label.lower())
    return "-".join(filter(None, kept.split("-")))
