"""The Celery application that celery_check.py puts to work: its broker is SQS
and its result backend is DynamoDB, both of the Weir at WEIR_ENDPOINT."""

import os
import signal
import time

from celery import Celery

ENDPOINT = os.environ["WEIR_ENDPOINT"]
VISIBILITY = 5  # seconds; a lost worker's tasks come back after that

app = Celery("weir")
app.conf.update(
    broker_url="sqs://any:any@" + ENDPOINT.split("//")[1],
    broker_transport_options={
        "is_secure": False,
        "region": "us-east-1",
        "visibility_timeout": VISIBILITY,
        "wait_time_seconds": 2,
        "polling_interval": 0.1,
        "queue_name_prefix": "celery-",
    },
    result_backend="dynamodb://any:any@us-east-1/celery-results",
    dynamodb_endpoint_url=ENDPOINT,
    task_default_queue="tasks",
    task_routes={"celery_app.in_order": {"queue": "order.fifo"}},
    task_create_missing_queues=True,
    worker_enable_remote_control=False,  # not for SQS, says Celery
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)


@app.task
def add(x, y):
    return x + y


@app.task(bind=True, max_retries=3)
def flaky(self, failures):
    """Fails that many times and returns how often it was tried."""
    if self.request.retries < failures:
        raise self.retry(exc=ValueError("not yet"), countdown=1)
    return self.request.retries + 1


@app.task
def fail(message):
    raise ValueError(message)


@app.task
def now():
    return time.time()


@app.task(bind=True, acks_late=True)
def deadly(self, marker):
    """Kills its worker the first time, main process and all, before anything
    is acknowledged."""
    if not os.path.exists(marker):
        with open(marker, "w"):
            pass
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    return "again"


@app.task
def in_order(path, n):
    with open(path, "a") as f:
        f.write("%d\n" % n)
