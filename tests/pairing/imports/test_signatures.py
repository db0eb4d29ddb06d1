from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pairing.imports.signatures import unsigned

PLAIN = "https://clips.example/a%20b.mp4"
S3 = (
    "X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AK%2F20250101&X-Amz-Date=20250101T000000Z"
    "&X-Amz-Expires=3600&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=0f"
)
SIGNATURES = {
    "S3": S3,
    "S3, small letters": S3.lower(),
    "S3, version 2": "AWSAccessKeyId=AK&Signature=0f%3D&Expires=1700000000",
    "CloudFront": "Expires=1700000000&Signature=0f~&Key-Pair-Id=K",
    "CloudFront, own policy": "Policy=ey__&Signature=0f~&Key-Pair-Id=K",
    "Google": S3.replace("X-Amz", "X-Goog"),
    "Google, version 2": "GoogleAccessId=a%40b&Expires=1700000000&Signature=0f",
    "Azure": "sv=2022-11-02&st=2025-01-01&se=2025-01-02&sr=b&sp=r&spr=https&sig=0f%3D",
}


@pytest.mark.parametrize("signature", SIGNATURES.values(), ids=SIGNATURES)
def test_a_signature_falls_away_and_what_stands_around_it_stays(signature):
    assert unsigned(f"{PLAIN}?{signature}") == PLAIN
    assert unsigned(f"{PLAIN}?v=2&{signature}&t=5#x") == f"{PLAIN}?v=2&t=5#x"


@pytest.mark.parametrize("query", ["", "?", "?sp=3&se=4", "?Expires=5", "?policy=a&v", "?signed=1"])
def test_without_a_signature_every_parameter_stays(query):
    assert unsigned(PLAIN + query) == PLAIN + query


@given(st.text(alphabet="ab?&#=sigSEv-", max_size=30))
def test_what_is_left_is_not_signed(rest):
    once = unsigned(PLAIN + rest)
    assert unsigned(once) == once
    assert once.startswith(PLAIN)
