"""Which files the repository's own tests look at."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
PACKAGE = ROOT / "django_saga"
CODE_FOLDERS = ("django_saga", "example_project", "benchmarks", "tests", "docs", ".ci")


def python_files(*folders: str) -> list[Path]:
    """All Python files in ``folders`` (default: everywhere), sorted."""
    return sorted(path for folder in folders or CODE_FOLDERS for path in (ROOT / folder).rglob("*.py"))


def name(path: Path) -> str:
    """The path as one says it: relative to the repository."""
    return path.relative_to(ROOT).as_posix()
