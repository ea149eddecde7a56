"""Build the wheel, install it into an empty environment, and run a saga in a project made from nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

SETTINGS = """
INSTALLED_APPS += ["django_saga", "shop"]
DATABASES["default"]["OPTIONS"] = {
    "transaction_mode": "IMMEDIATE",
    "timeout": 30,
    "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL",
}
"""
SAGAS = """
from django_saga import PermanentFailure, Saga, step


class OrderSaga(Saga):
    @step
    def reserve(self, ctx):
        return {"reservation": ctx.input["sku"]}

    @reserve.compensation
    def release(self, ctx):
        print("released", ctx.result["reservation"])

    @step(no_compensation=True)
    def ship(self, ctx):
        if ctx.input["sku"] == "broken":
            raise PermanentFailure("cannot be shipped")
        return {"shipped": ctx.results["reserve"]["reservation"]}
"""
START = """
from shop.sagas import OrderSaga
good, bad = OrderSaga.start({"sku": "tea"}), OrderSaga.start({"sku": "broken"})
print(good.id, bad.id, sep="\\n")
"""
REPORT = """
from shop.sagas import OrderSaga
print(*(OrderSaga.get(id).status for id in {ids!r}), OrderSaga.get({ids!r}[0]).result())
"""
EXPECTED = "completed compensated {'shipped': 'tea'}"


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="saga-wheel-") as folder:
        wheel = build_wheel(Path(folder) / "dist")
        python = empty_environment(Path(folder) / "venv", wheel)
        project = new_project(Path(folder), python)

        manage(python, project, "migrate", "--verbosity=0")
        manage(python, project, "check", "--fail-level=ERROR")
        ids = manage(python, project, "shell", "--verbosity=0", "--command", START).split()
        manage(python, project, "saga_worker", "--once")
        manage(python, project, "saga_list")
        manage(python, project, "saga_show", ids[0])
        manage(python, project, "saga_graph", "order")
        report = manage(python, project, "shell", "--verbosity=0", "--command", REPORT.format(ids=ids))
        if report.strip() != EXPECTED:
            sys.exit(f"expected {EXPECTED!r}, got {report.strip()!r}")
        print(f"{wheel.name} works in an empty environment: {report.strip()}")


def build_wheel(folder: Path) -> Path:
    run(sys.executable, "-m", "build", "--wheel", "--outdir", str(folder), str(ROOT))
    return next(folder.glob("*.whl"))


def empty_environment(folder: Path, wheel: Path) -> Path:
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    run(str(python), "-m", "pip", "install", "--quiet", str(wheel))
    return python


def new_project(folder: Path, python: Path) -> Path:
    project = folder / "project"
    project.mkdir()
    run(str(python), "-m", "django", "startproject", "mysite", str(project))
    run(str(python), "-m", "django", "startapp", "shop", cwd=project)
    with (project / "mysite" / "settings.py").open("a") as settings:
        settings.write(SETTINGS)
    (project / "shop" / "sagas.py").write_text(SAGAS)
    return project


def manage(python: Path, project: Path, *arguments: str) -> str:
    return run(str(python), "manage.py", *arguments, cwd=project)


def run(*command: str, cwd: Path | None = None) -> str:
    """Run ``command`` away from the sources, so that only what is installed can be imported."""
    print("$", *command[:4], flush=True)
    env = {
        name: value
        for name, value in os.environ.items()
        if name not in ("PYTHONPATH", "DJANGO_SETTINGS_MODULE")
    }
    done = subprocess.run(
        command, cwd=cwd or tempfile.gettempdir(), env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    print(done.stdout, end="", flush=True)
    if done.returncode:
        sys.exit(f"exit code {done.returncode}")
    return done.stdout


if __name__ == "__main__":
    main()
