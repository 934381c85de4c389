"""What is deployed is what the API servers of the targeted versions know, field by field, by their schemas.

Needs the package kubernetes-validate, which is too large for the workbench. What operators define (KEDA,
cert-manager...) is judged by the API server in `make kube-test`.
"""

import shutil

import pytest

from tests.support.manifests import base_objects, built, name_of

validator = pytest.importorskip("kubernetes_validate")

VERSIONS = ("1.30", "1.32", "1.34", "1.35")
CUSTOM = ("keda.sh", "cert-manager.io", "gateway.networking.k8s.io", "external-secrets.io")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("source", ["base", "dev", "stage", "prod", "test"])
def test_every_field_is_known(source: str, version: str) -> None:
    if source != "base" and shutil.which("kubectl") is None:
        pytest.skip("kubectl, which builds overlays, is not here")
    refused: list[str] = []
    for found in base_objects() if source == "base" else built(source):
        if found["apiVersion"].partition("/")[0] in CUSTOM:
            continue
        try:
            validator.validate(found, version, strict=True)
        except validator.ValidationError as error:
            refused.append(f"{found['kind']}/{name_of(found)}: {error.message} at {list(error.path)}")
    assert refused == []
