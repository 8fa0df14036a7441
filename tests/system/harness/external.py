"""An agent before a store."""
import signal

from .clock import poll


class BeforeStore:
    """What tests of any store share: `agent` is the agent, `behind` the store's process."""

    def away(self):
        poll(lambda: self.agent.metric("holdfast_agent_store_up") == 0, 10, "the breaker opens")

    def back(self):
        metric = self.agent.metric
        poll(lambda: metric("holdfast_agent_store_up") == 1, 10, "the breaker closes")
        poll(lambda: metric("holdfast_agent_store_dirty_keys") == 0, 10, "all is written")

    def stop(self):
        """The store first goes on, if it was halted: the agent has to write what it owes."""
        if self.behind.process and self.behind.process.poll() is None:
            self.behind.process.send_signal(signal.SIGCONT)
        self.agent.stop()
        self.behind.stop()
