"""Translation of cron expressions of CronJobs."""

import pytest

from tweetmodel_api.cron import MACROS, five_fields


@pytest.mark.parametrize(
    ("cron", "translated"),
    [
        *MACROS.items(),
        ("0 6 * * 1", "0 6 * * 1"),
        (" 0  6\t* * * ", "0 6 * * *"),
        ("0 6 ? * MON", "0 6 * * MON"),
        ("0 6 * * 1/3", "0 6 * * 1,4"),
        ("0 6 */10 * *", "0 6 1,11,21,31 * *"),
        ("0 6 * * sat/1", "0 6 * * 6"),
        ("0 6 1-5/2 * *", "0 6 1-5/2 * *"),
        ("0 6 */2,* * *", "0 6 * * *"),
        ("0 6 */01 * *", "0 6 * * *"),
        ("0 6 */0 * *", "0 6 */0 * *"),
    ],
)
def test_an_expression_is_translated_to_five_fields(cron: str, translated: str) -> None:
    assert five_fields(cron) == translated


@pytest.mark.parametrize("cron", ["", "@reboot", "0 6 * *", "0 6 * * 1 2026"])
def test_an_unreadable_expression_is_unchanged(cron: str) -> None:
    assert five_fields(cron) == cron
