"""The contract that operator and trainer share, and the one place where each of its facts stands.

`spec` and `status` are what a person writes and reads, `plan` and `report` what the operator and a
pod hand each other, `reasons` how it can end, `layout` where everything lies in S3. Imports pydantic
and nothing else.
"""

GROUP = "tweetmodel.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"
KIND = "TweetModel"
PLURAL = "tweetmodels"
