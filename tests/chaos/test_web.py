"""Servers die as their users see it: by HTTP, through the proxy, an application and its agent at once.

Three servers; LONG rounds have 1,000 users. An answer is judged by what the user was told before; a
session that another one took the place of is `fresh` or `missing`. Told, and not judged but for a
generous bound: when the first session of the dead server was answered with its data.
"""
import pytest
from test_faults import judged
from web import WebCampaign, WebCluster

pytestmark = pytest.mark.usefixtures("express_installed")


@pytest.fixture
def run_web(tmp_path):
    made = []

    def run(**keys):
        made.append(WebCluster(tmp_path / "web", **keys))
        return made[-1].start()

    yield run
    for cluster in made:
        cluster.stop()


SERVED_AGAIN_MS_MAX = 10000  # some may wait for the proxy to give a request up, and ask again


def kill(campaign, victim=None):
    """Until its sessions are served elsewhere."""
    victim = victim or campaign.victim()
    campaign.kill(victim)
    campaign.wait_moved(victim)


def test_web_kill(run_web, seed):
    """An application and its agent end by SIGKILL."""
    judged(WebCampaign(run_web(), seed).run(kill), SERVED_AGAIN_MS_MAX)


def test_web_hang(run_web, seed):
    """Both are stopped by SIGSTOP, and go on later: nothing is closed, nobody is told."""

    def fault(campaign):
        victim = campaign.victim()
        campaign.stop(victim)
        campaign.wait_moved(victim)
        campaign.pause(2.0)
        campaign.resume(victim)

    judged(WebCampaign(run_web(), seed).run(fault), SERVED_AGAIN_MS_MAX)


def test_web_two_die(run_web, seed):
    """With two backups a second server may die while the first one's sessions are copied anew."""

    def fault(campaign):
        first = campaign.victim()
        campaign.kill(first)
        campaign.pause(0, 0.2)
        kill(campaign)
        campaign.wait_moved(first)

    judged(WebCampaign(run_web(backups=2), seed).run(fault), SERVED_AGAIN_MS_MAX)


def test_web_cut_then_kill(run_web, seed):
    """The links of the agent are cut 50 ms before: what was acknowledged in between is elsewhere."""

    def fault(campaign):
        victim = campaign.victim()
        campaign.isolate(victim)
        campaign.pause(0.05)
        kill(campaign, victim)

    judged(WebCampaign(run_web(), seed).run(fault), SERVED_AGAIN_MS_MAX)
