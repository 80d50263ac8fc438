"""Rejections of objects by the API server: by validation, policy, quota or an admission webhook."""

REJECTED_CODES = (400, 403, 422)
"""Codes of the API server for an object that validation, policy or quota forbids."""
WEBHOOK_UNREACHABLE = "failed calling webhook"
"""Part of the message about an unreachable admission webhook, with code 500."""
TRANSIENT_REJECTIONS = (WEBHOOK_UNREACHABLE, "exceeded quota", "status unknown for quota")
"""Parts of messages about temporary rejections."""
REJECTIONS = ("forbidden", "denied the request", "not found", "invalid")
"""Parts of messages about rejections; without them, the API server was overloaded."""


def is_rejection(code: int, message: str) -> bool:
    """Return whether an error of the API server rejects the object, so that a repetition changes nothing at once."""
    return code in REJECTED_CODES or WEBHOOK_UNREACHABLE in message


def is_transient_rejection(message: str) -> bool:
    """Return whether the API server may accept a rejected object later."""
    return any(part in message for part in TRANSIENT_REJECTIONS)


def is_final_rejection(message: str) -> bool:
    """Return whether the API server rejects an object until a person makes a change."""
    return any(part in message for part in REJECTIONS) and not is_transient_rejection(message)
