"""What the administrator allows a TweetModel to ask for."""

from collections.abc import Sequence
from fnmatch import fnmatchcase

from tweetmodel_api.spec import TweetModelSpec
from tweetmodel_operator.settings import Settings


def forbidden(spec: TweetModelSpec, settings: Settings) -> str:
    """Why the spec is not allowed, as a sentence without its end; empty where it is."""
    never = {handle.lower().removeprefix("@") for handle in settings.never}
    for source in spec.sources:
        if source.handle.lower() in never:
            return f"spec.sources names @{source.handle}, an account that this cluster never learns from"
    if any(source.x_api for source in spec.sources) and not settings.x_api_enabled:
        return "spec.sources reads the X API, which this cluster does not allow"
    template = spec.pod_template
    if template is None:
        return ""
    image, account = template.image, template.service_account_name
    if image and not _matches(image, (settings.trainer_image, *settings.allowed_images)):
        return f"spec.podTemplate.image {image} is not one of the images that this cluster allows"
    if account and not _matches(account, settings.allowed_service_accounts):
        return f"spec.podTemplate.serviceAccountName {account} is not one that this cluster allows"
    return ""


def _matches(value: str, patterns: Sequence[str]) -> bool:
    return any(fnmatchcase(value, pattern) for pattern in patterns)
