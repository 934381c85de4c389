"""The tus protocol through Envoy and the gateway; what it does is tried by the gateway's own tests."""

import httpx
import pytest

from tests.integration.edge.conftest import ORIGIN

TUS = {"tus-resumable": "1.0.0"}


async def test_what_there_is_is_told(rest: httpx.AsyncClient) -> None:
    answer = await rest.options("/v1/debtUploads")
    assert (answer.status_code, answer.headers["tus-version"]) == (204, "1.0.0")
    assert set(answer.headers["tus-extension"].split(",")) == {
        "creation",
        "creation-with-upload",
        "expiration",
        "checksum",
        "termination",
    }


@pytest.mark.parametrize(
    ("verb", "path"),
    [("POST", ""), *((verb, "/u1") for verb in ("HEAD", "PATCH", "DELETE", "POST"))],
)
async def test_each_method_has_its_route(
    rest: httpx.AsyncClient, anonymous: httpx.AsyncClient, verb: str, path: str
) -> None:
    assert (await anonymous.request(verb, f"/v1/debtUploads{path}", headers=TUS)).status_code == 401
    override = {"x-http-method-override": "PATCH"}
    answer = await rest.request(verb, f"/v1/debtUploads{path}", headers=override)
    assert (answer.status_code, answer.headers["tus-version"]) == (412, "1.0.0")


async def test_a_browser_may_speak_it(anonymous: httpx.AsyncClient) -> None:
    asked = {"access-control-request-method": "PATCH", "access-control-request-headers": "upload-offset,tus-resumable"}
    answer = await anonymous.options("/v1/debtUploads/u1", headers={"origin": ORIGIN, **asked})
    allowed = {name.strip() for name in answer.headers["access-control-allow-headers"].split(",")}
    assert {"upload-offset", "upload-length", "upload-metadata", "upload-checksum", "tus-resumable"} <= allowed
