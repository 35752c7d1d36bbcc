// Consumers that applications use, through their own worker loops: sqs-consumer
// of the BBC and squiss-ts.
import assert from "node:assert/strict";
import { test } from "node:test";
import { Consumer } from "sqs-consumer";
import { Squiss } from "squiss-ts";
import { config, counts, eventually, makeQueue, queueArn, receive, sqs } from "./weir.mjs";

async function fill(QueueUrl, bodies, more = () => ({})) {
  for (let i = 0; i < bodies.length; i += 10) {
    const Entries = bodies.slice(i, i + 10).map((MessageBody, j) => ({ Id: `${j}`, MessageBody, ...more(i + j) }));
    const { Failed } = await sqs.sendMessageBatch({ QueueUrl, Entries });
    assert.deepEqual(Failed ?? [], []);
  }
}

const bodies = (n) => Array.from({ length: n }, (_, i) => `m${i}`);

// consume runs an sqs-consumer until a condition holds; errors of its own fail the test.
async function consume(options, until) {
  const app = Consumer.create({ sqs, waitTimeSeconds: 1, suppressFifoWarning: true, ...options });
  const errors = [], failed = [];
  app.on("error", (e) => errors.push(e.message));
  app.on("timeout_error", (e) => failed.push(e.message));
  app.on("processing_error", (e) => failed.push(e.message));
  const stopped = new Promise((resolve) => app.once("stopped", resolve));
  app.start();
  try {
    await eventually("the backlog is done", until);
  } finally {
    app.stop({ abort: true });
    await stopped;
  }
  assert.deepEqual(errors, []);
  return failed;
}

const drained = (url) => async () => (await counts(url)).every((n) => n === 0);

test("sqs-consumer: a backlog in batches", async (t) => {
  const queueUrl = await makeQueue(t, "backlog");
  const want = bodies(200);
  await fill(queueUrl, want);
  const seen = [];
  await consume({
    queueUrl,
    batchSize: 10,
    concurrency: 3,
    handleMessageBatch: async (messages) => {
      seen.push(...messages.map((m) => m.Body));
      return messages;
    },
  }, drained(queueUrl));
  assert.deepEqual(seen.sort(), want.sort());
});

test("sqs-consumer: a heartbeat keeps a slow message", async (t) => {
  const queueUrl = await makeQueue(t, "heartbeat");
  await fill(queueUrl, ["slow"]);
  let handled = 0, stolen = 0;
  await consume({
    queueUrl,
    visibilityTimeout: 2,
    heartbeatInterval: 0.7,
    handleMessage: async (message) => {
      handled++;
      // A second consumer asks for longer than the message's visibility.
      stolen += (await receive(queueUrl, { WaitTimeSeconds: 3 })).length;
      return message;
    },
  }, drained(queueUrl));
  assert.deepEqual([handled, stolen], [1, 0]);
});

test("sqs-consumer: errors are tried again, then set aside", async (t) => {
  const dead = await makeQueue(t, "consumer-dead");
  const RedrivePolicy = JSON.stringify({ deadLetterTargetArn: await queueArn(dead), maxReceiveCount: 3 });
  const queueUrl = await makeQueue(t, "errors", { RedrivePolicy });
  await fill(queueUrl, ["good", "flaky", "poison"]);
  const tries = { good: 0, flaky: 0, poison: 0 };
  const failed = await consume({
    queueUrl,
    batchSize: 1,
    terminateVisibilityTimeout: true, // what fails is visible again at once
    attributeNames: ["ApproximateReceiveCount"],
    handleMessage: async (message) => {
      assert.equal(Number(message.Attributes.ApproximateReceiveCount), ++tries[message.Body]);
      if (message.Body === "poison" || (message.Body === "flaky" && tries.flaky === 1)) throw new Error(`no luck with ${message.Body}`);
      return message;
    },
  }, async () => (await drained(queueUrl)()) && (await counts(dead))[0] === 1);
  assert.deepEqual(tries, { good: 1, flaky: 2, poison: 3 });
  assert.equal(failed.length, 4, failed.join("\n"));
  assert.equal((await receive(dead))[0].Body, "poison");
});

test("sqs-consumer: a batch acknowledged in part", async (t) => {
  const queueUrl = await makeQueue(t, "part", { VisibilityTimeout: "1" });
  await fill(queueUrl, bodies(10));
  const tries = new Map();
  await consume({
    queueUrl,
    batchSize: 10,
    handleMessageBatch: async (messages) => {
      for (const m of messages) tries.set(m.Body, (tries.get(m.Body) ?? 0) + 1);
      return messages.filter((m) => Number(m.Body.slice(1)) % 2 === 0 || tries.get(m.Body) > 1);
    },
  }, drained(queueUrl));
  assert.deepEqual(bodies(10).map((b) => tries.get(b)), [1, 2, 1, 2, 1, 2, 1, 2, 1, 2]);
});

test("sqs-consumer: a FIFO queue in order", async (t) => {
  const queueUrl = await makeQueue(t, "consumer.fifo", { FifoQueue: "true", ContentBasedDeduplication: "true" });
  await fill(queueUrl, bodies(60), (i) => ({ MessageGroupId: `g${i % 3}` }));
  const seen = [[], [], []];
  await consume({
    queueUrl,
    batchSize: 10,
    concurrency: 2,
    handleMessageBatch: async (messages) => {
      for (const m of messages) seen[Number(m.Body.slice(1)) % 3].push(m.Body);
      return messages;
    },
  }, drained(queueUrl));
  for (const g of [0, 1, 2]) assert.deepEqual(seen[g], bodies(60).filter((_, i) => i % 3 === g));
});

test("squiss-ts: messages in flight, renewals and deletions in batches", async (t) => {
  const queueUrl = await makeQueue(t, "squiss", { VisibilityTimeout: "2" });
  const squiss = new Squiss({
    awsConfig: config, queueUrl, bodyFormat: "json", maxInFlight: 20, receiveWaitTimeSecs: 1,
    deleteBatchSize: 10, deleteWaitMs: 50, autoExtendTimeout: true, advancedCallMs: 500,
  });
  const errors = [], seen = [];
  squiss.on("error", (e) => errors.push(e.message));
  squiss.on("message", (m) => {
    seen.push(m.body.n);
    if (m.body.n !== 7) return m.del();
    setTimeout(() => m.del(), 4000); // twice its visibility
  });
  await squiss.sendMessages(Array.from({ length: 50 }, (_, n) => ({ n })));
  await squiss.start();
  try {
    await eventually("the backlog is done", drained(queueUrl));
  } finally {
    await squiss.stop(true, 5000);
  }
  assert.deepEqual(errors, []);
  assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 50 }, (_, n) => n));
});
