"""URLs that a key has signed for a while: what in them is the signature, and what the video.

Source: the parameters as the storage services document them (Amazon S3 and CloudFront, Google Cloud
Storage, Azure shared access signatures).
"""

from __future__ import annotations

import re

# The parameter that signs, and those that go with it; apart from it they may be anybody's words.
SIGNED = (
    (r"x-amz-signature", r"x-amz-.*"),
    (r"x-goog-signature", r"x-goog-.*"),
    (r"signature", r"signature|expires|policy|awsaccesskeyid|googleaccessid|key-pair-id"),
    (r"sig", r"sig|se|sp|sv|sr|st|ss|srt|spr|sip|skoid|sktid|skt|ske|sks|skv"),
)


def unsigned(url: str) -> str:
    """A URL without the parameters of a signature; all else as it was, in its order.

    >>> unsigned("https://clips.example/a.mp4?v=2&X-Amz-Expires=60&X-Amz-Signature=0f")
    'https://clips.example/a.mp4?v=2'
    >>> unsigned("https://clips.example/watch?sp=3")
    'https://clips.example/watch?sp=3'
    """
    whole, hash_sign, fragment = url.partition("#")
    address, _, query = whole.partition("?")
    parameters = query.split("&") if query else []
    for signature, company in SIGNED:
        if any(_named(each, signature) for each in parameters):
            parameters = [each for each in parameters if not _named(each, company)]
            kept = "&".join(parameters)
            whole = f"{address}?{kept}" if kept else address
    return whole + hash_sign + fragment


def _named(parameter: str, pattern: str) -> bool:
    return re.fullmatch(pattern, parameter.partition("=")[0], re.IGNORECASE) is not None
