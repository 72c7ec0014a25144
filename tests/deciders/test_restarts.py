"""Whether a campaign bears it that a worker failed."""

from __future__ import annotations

from fuzz.campaign.restarts import HOUR_S, MAX_RESTARTS, START_LIMIT, Restarts


def test_workers_that_never_run_a_case_end_a_campaign_soon() -> None:
    restarts = Restarts()
    borne = [restarts.bear(HOUR_S * 2 * n, ran=False) for n in range(START_LIMIT)]
    assert borne == [True] * (START_LIMIT - 1) + [False]


def test_workers_that_run_cases_may_fail_more_often() -> None:
    restarts = Restarts()
    borne = [restarts.bear(float(n), ran=True) for n in range(MAX_RESTARTS + 1)]
    assert borne == [True] * MAX_RESTARTS + [False]
    assert restarts.count == MAX_RESTARTS


def test_what_failed_an_hour_ago_is_forgotten() -> None:
    restarts = Restarts()
    apart = HOUR_S / MAX_RESTARTS
    assert all(restarts.bear(n * apart, ran=True) for n in range(5 * MAX_RESTARTS))
    assert restarts.bear(5 * MAX_RESTARTS * apart, ran=True)


def test_a_campaign_that_ran_cases_does_not_bear_more_that_never_start() -> None:
    restarts = Restarts()
    assert restarts.bear(0.0, ran=True)
    assert restarts.bear(1.0, ran=False)
    assert restarts.bear(2.0, ran=True)
    assert restarts.bear(3.0, ran=False)
    assert not restarts.bear(4.0, ran=False)
