"""Writes generated/ from proto/: Python (with .pyi), Go, OpenAPI and AsyncAPI.

`generate.py --check` writes to a temporary folder instead and fails when what is committed differs.
"""

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build"
GO_PLUGINS = {
    "protoc-gen-go": "google.golang.org/protobuf/cmd/protoc-gen-go",
    "protoc-gen-go-grpc": "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
    "protoc-gen-grpc-gateway": "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway",
    "protoc-gen-openapiv2": "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-openapiv2",
}
# Written by hand and kept in place.
KEPT = {"README.md", "go.mod", "go.sum", "embed.go"}


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> None:
    done = subprocess.run([str(part) for part in command], cwd=cwd, env={**os.environ, **environment}, check=False)
    if done.returncode != 0:
        sys.exit(f"{Path(command[0]).name} failed with exit code {done.returncode}")


def build_go_plugins() -> None:
    for name, package in GO_PLUGINS.items():
        run(ROOT / "scripts/go.sh", "build", "-o", BUILD / "bin" / name, package, cwd=ROOT / "gateway")


def generate_python(out: Path) -> None:
    out.mkdir(parents=True)
    protos = sorted(str(p.relative_to(ROOT / "proto")) for p in (ROOT / "proto").rglob("*.proto"))
    services = [p for p in protos if p.endswith("_service.proto")]
    base = [sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'proto'}", f"-I{BUILD / 'third_party/proto'}"]
    # With the rules of validation, which no package brings as a module of google.protobuf.
    run(*base, f"--python_out={out}", f"--pyi_out={out}", *protos, "buf/validate/validate.proto")
    plugin = f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).parent / 'protoc-gen-mypy_grpc'}"
    run(*base, plugin, f"--grpc_python_out={out}", f"--mypy_grpc_out=quiet:{out}", *services)


def generate(out: Path) -> None:
    build_go_plugins()
    generate_python(out / "python")
    # buf writes below generated/; for a check it is pointed elsewhere.
    template = (ROOT / "buf.gen.yaml").read_text()
    run(ROOT / ".venv/bin/buf", "generate", "--template", template.replace("out: generated/", f"out: {out}/"))
    swagger, document = (out / "openapi" / f"tocsin.{kind}.json" for kind in ("swagger", "openapi"))
    fresh = str(out / "python")
    run(sys.executable, ROOT / "scripts/openapi.py", swagger, out / "python", document, PYTHONPATH=fresh)
    swagger.unlink()
    run(
        sys.executable, ROOT / "scripts/asyncapi.py", out / "python", out / "asyncapi" / "tocsin.yaml", PYTHONPATH=fresh
    )
    run(sys.executable, ROOT / "scripts/settings.py")


def clean(folder: Path) -> None:
    for path in sorted(folder.rglob("*"), reverse=True):
        if path.is_dir():
            if not any(path.iterdir()):
                path.rmdir()
        elif path.name not in KEPT or "__pycache__" in path.parts:
            path.unlink()


def files(folder: Path) -> dict[str, Path]:
    return {
        str(path.relative_to(folder)): path
        for path in folder.rglob("*")
        if path.is_file() and path.name not in KEPT and "__pycache__" not in path.parts
    }


def check(committed: Path, fresh: Path) -> None:
    old, new = files(committed), files(fresh)
    stale = sorted(
        {*old} ^ {*new} | {name for name in {*old} & {*new} if not filecmp.cmp(old[name], new[name], shallow=False)}
    )
    if stale:
        sys.exit("generated/ is stale; run 'make generate'. Differs: " + ", ".join(stale[:10]))
    print(f"generated/ is fresh ({len(new)} files)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare instead of write")
    if parser.parse_args().check:
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder))
            check(ROOT / "generated", Path(folder))
        return
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder)
        generate(fresh)
        clean(ROOT / "generated")
        shutil.copytree(fresh, ROOT / "generated", dirs_exist_ok=True)


if __name__ == "__main__":
    main()
