"""What the codes of S3's answers mean to people."""

REFUSED = frozenset(  # a HEAD request has a number alone
    {
        "403",
        "AccessDenied",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "ExpiredToken",
        "NoCredentialsError",
        "PartialCredentialsError",
    }
)
FULL = frozenset({"QuotaExceeded", "InsufficientStorage", "507"})
GONE = frozenset({"NoSuchKey", "404", "PreconditionFailed", "412"})  # or another one than was asked for
NO_BUCKET = "NoSuchBucket"
CLOCK = "RequestTimeTooSkewed"


def code_sentence(key: str, code: str) -> str:
    """Sentence for the code of a store's answer."""
    if code in REFUSED:
        return (
            f"object {key} may not be used in S3 ({code}), expected credentials with a right to the bucket: check "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and the rights of the bucket, then run it again"
        )
    if code == CLOCK:
        return (
            f"object {key} may not be used in S3 ({code}), expected a clock that shows the server's time: set the "
            "clock of this machine, and run it again"
        )
    if code in FULL:
        return (
            f"the bucket is full at object {key} ({code}), expected room for it: free some space or raise the quota, "
            "and run it again, it goes on where it was"
        )
    if code in GONE:
        return (
            f"object {key} is gone or another one now ({code}), expected it as it was listed: run it again once the "
            "transfer has ended"
        )
    if code == NO_BUCKET:
        return (
            f"the bucket of object {key} is not there ({code}), expected one: make it, or check the address"
        )
    return (
        f"object {key} could not be used in S3 ({code}), expected a server which answers: "
        "check the address, AWS_ENDPOINT_URL and the network, and run it again"
    )
