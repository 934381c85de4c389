"""Gathers third-party contracts into .build/third_party, for the compilers of ours.

google/api comes from the googleapis-common-protos wheel, google/protobuf from grpcio-tools, buf/validate from the
Go module of protovalidate, pinned by version and hash below. Nothing of it is committed.
"""

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / ".build" / "third_party"
PROTOVALIDATE = "github.com/bufbuild/protovalidate@v1.2.2"
PROTOVALIDATE_SUM = "h1:2H/9/Kr97etSRqW3IJjTTb09z+zutkK2GDhDRbOnqr4="
# What proto/ imports of googleapis-common-protos.
GOOGLE = ("google/api", "google/rpc")


def package_dir(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        sys.exit(f"package {name} is not installed; run 'make setup'")
    return Path(next(iter(spec.submodule_search_locations)))


def go_module_dir(path: str, expected_sum: str) -> Path:
    go = ROOT / "scripts" / "go.sh"
    done = subprocess.run(
        [go, "mod", "download", "-json", path], cwd=ROOT / "gateway", stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        sys.exit(f"go mod download {path} failed:\n{done.stdout}")
    module = json.loads(done.stdout)
    if module["Sum"] != expected_sum:
        sys.exit(f"{path} has the hash {module['Sum']}, not the pinned {expected_sum}")
    return Path(module["Dir"])


def copy_protos(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for proto in source.glob("*.proto"):
        # Copied without the read-only mode of the module cache, so that a second run can replace it.
        shutil.copyfile(proto, target / proto.name)


def main() -> None:
    shutil.rmtree(OUT, ignore_errors=True)
    protos = OUT / "proto"
    for folder in GOOGLE:
        copy_protos(package_dir("google") / Path(folder).name, protos / folder)
    validate = go_module_dir(PROTOVALIDATE, PROTOVALIDATE_SUM) / "proto" / "protovalidate" / "buf" / "validate"
    copy_protos(validate, protos / "buf" / "validate")


if __name__ == "__main__":
    main()
