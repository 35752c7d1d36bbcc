"""Celery through its own workers, in processes of their own: tasks, results,
retries, countdowns, a chain, a worker that is killed, a FIFO queue."""

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import time
import unittest

import celery
import kombu
from celery import chain, group

from celery_app import VISIBILITY, add, deadly, fail, flaky, in_order, now
from common import client, versions

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 90  # seconds for a result


def die_with_parent():
    """Asks Linux to kill this process when the one that started it dies."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


class Worker:
    """A Celery worker process. Prefork is what Celery runs by default."""

    def __init__(self, queue, concurrency=2):
        self.log = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "celery", "-A", "celery_app", "worker", "-Q", queue, "-l", "INFO",
             "--pool", "prefork", "-c", str(concurrency), "-n", "%s@check" % queue, "--without-gossip", "--without-mingle", "--without-heartbeat"],
            cwd=HERE, stdout=self.log, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=die_with_parent,
        )

    def stop(self):
        """Ends the worker as an operator does and returns what it logged."""
        self.process.terminate()
        try:
            self.process.wait(60)
            self.log.seek(0)
            return self.log.read()
        finally:
            self.kill()

    def kill(self):
        """Ends whatever is left of the worker and of its own session."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.log.close()


class Tasks(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.sqs = client("sqs")
        cls.worker = Worker("tasks")

    @classmethod
    def tearDownClass(cls):
        log = cls.worker.stop()
        for line in log.splitlines():
            if "CRITICAL" in line or ("ERROR" in line and "celery_app.fail" not in line):
                raise AssertionError("the worker complains:\n" + log)

    def drained(self, queue):
        url = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        last = time.monotonic() + 30
        while True:
            a = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
            left = sum(int(a["ApproximateNumberOfMessages" + s]) for s in ("", "NotVisible", "Delayed"))
            if left == 0:
                return
            self.assertLess(time.monotonic(), last, "%d messages are left in %s" % (left, queue))
            time.sleep(0.1)

    def test_1_results(self):
        results = group(add.s(i, i) for i in range(60)).apply_async()
        self.assertEqual(results.get(timeout=TIMEOUT), [2 * i for i in range(60)])
        self.assertEqual(chain(add.s(1, 2), add.s(3), add.s(4))().get(timeout=TIMEOUT), 10)
        with self.assertRaisesRegex(ValueError, "as told"):
            fail.delay("as told").get(timeout=TIMEOUT)
        self.drained("celery-tasks")

    def test_2_retries(self):
        self.assertEqual(flaky.delay(2).get(timeout=TIMEOUT), 3)
        with self.assertRaisesRegex(ValueError, "not yet"):
            flaky.delay(9).get(timeout=TIMEOUT)  # it may be tried four times

    def test_3_eta(self):
        wanted = time.time() + 3
        ran = now.apply_async(countdown=3).get(timeout=TIMEOUT)
        self.assertTrue(wanted - 0.1 <= ran < wanted + 10, ran - wanted)

    def test_4_large(self):
        text = "Grüße 𝄞 " * 5000
        self.assertEqual(add.delay(text, "!").get(timeout=TIMEOUT), text + "!")

    def test_5_killed_worker(self):
        with tempfile.TemporaryDirectory() as d:
            result = deadly.apply_async((os.path.join(d, "marker"),))
            self.worker.process.wait(TIMEOUT)
            self.assertFalse(result.ready())
            self.worker.kill()
            type(self).worker = Worker("tasks")
            begun = time.monotonic()
            self.assertEqual(result.get(timeout=TIMEOUT), "again")
            self.assertLess(time.monotonic() - begun, VISIBILITY + 60)
        self.drained("celery-tasks")


class Fifo(unittest.TestCase):
    def test_order(self):
        worker = Worker("order.fifo", concurrency=1)
        try:
            with tempfile.TemporaryDirectory() as d:
                path = os.path.join(d, "order")
                results = [in_order.delay(path, n) for n in range(25)]
                for r in results:
                    r.get(timeout=TIMEOUT)
                with open(path) as f:
                    self.assertEqual([int(line) for line in f], list(range(25)))
        finally:
            log = worker.stop()
        self.assertNotIn("CRITICAL", log)


if __name__ == "__main__":
    print("Celery %s, kombu %s, %s" % (celery.__version__, kombu.__version__, versions()), flush=True)
    unittest.main()
