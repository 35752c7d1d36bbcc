// FIFO queues through the AWS SDK for JavaScript v3, as AWS documents them.
import assert from "node:assert/strict";
import { test } from "node:test";
import { SQS } from "@aws-sdk/client-sqs";
import { config, counts, fails, makeQueue, queueArn, receive, sqs } from "./weir.mjs";

const fifo = (t, name, attributes = {}) => makeQueue(t, `${name}.fifo`, { FifoQueue: "true", ...attributes });
const content = { ContentBasedDeduplication: "true" };

test("what a FIFO queue is", async (t) => {
  const url = await fifo(t, "what");
  assert.match(url, /\/js-what\.fifo$/);
  const { Attributes: a } = await sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ["All"] });
  assert.equal(a.FifoQueue, "true");
  assert.equal(a.ContentBasedDeduplication, "false");
  assert.equal(a.DeduplicationScope, "queue");
  assert.equal(a.FifoThroughputLimit, "perQueue");
  await fails("InvalidParameterValue", sqs.createQueue({ QueueName: "js-plain", Attributes: { FifoQueue: "true" } }));
  await fails("InvalidParameterValue", sqs.createQueue({ QueueName: "js-suffix.fifo" }));
  const standard = await makeQueue(t, "standard");
  const { Attributes: s } = await sqs.getQueueAttributes({ QueueUrl: standard, AttributeNames: ["All"] });
  for (const name of ["FifoQueue", "ContentBasedDeduplication", "DeduplicationScope", "FifoThroughputLimit"]) assert.equal(s[name], undefined, name);
});

test("what a message must have", async (t) => {
  const url = await fifo(t, "must");
  await fails("MissingParameter", sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageDeduplicationId: "d" }), /MessageGroupId/);
  await fails("InvalidParameterValue", sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageGroupId: "g" }), /ContentBasedDeduplication/);
  await fails(
    "InvalidParameterValue",
    sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageGroupId: "g", MessageDeduplicationId: "d", DelaySeconds: 5 }),
    /DelaySeconds/,
  );
  await fails("InvalidParameterValue", sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageGroupId: "a b", MessageDeduplicationId: "d" }));
});

test("order in a group, one consumer at a time", async (t) => {
  const url = await fifo(t, "order", content);
  const sequences = [];
  for (const body of ["a1", "b1", "a2", "b2", "a3"]) {
    sequences.push((await sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: body[0] })).SequenceNumber);
  }
  assert.deepEqual(sequences, sequences.toSorted((x, y) => (BigInt(x) < BigInt(y) ? -1 : 1)));
  assert.match(sequences[0], /^\d{20}$/);
  const [first] = await receive(url, { MaxNumberOfMessages: 1 });
  assert.equal(first.Body, "a1");
  assert.equal(first.Attributes.MessageGroupId, "a");
  assert.equal(first.Attributes.SequenceNumber, sequences[0]);
  assert.ok(first.Attributes.MessageDeduplicationId);
  const others = await receive(url);
  assert.deepEqual(others.map((m) => m.Body), ["b1", "b2"]);
  assert.deepEqual(await receive(url, { WaitTimeSeconds: 0 }), []);
  await sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: first.ReceiptHandle });
  assert.deepEqual((await receive(url)).map((m) => m.Body), ["a2", "a3"]);
});

test("a message that comes back is the first of its group again", async (t) => {
  const url = await fifo(t, "back", content);
  for (const body of ["1", "2", "3"]) await sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: "g" });
  const [m] = await receive(url, { MaxNumberOfMessages: 1 });
  await sqs.changeMessageVisibility({ QueueUrl: url, ReceiptHandle: m.ReceiptHandle, VisibilityTimeout: 0 });
  const all = await receive(url);
  assert.deepEqual(all.map((x) => x.Body), ["1", "2", "3"]);
  assert.deepEqual(all.map((x) => x.Attributes.ApproximateReceiveCount), ["2", "1", "1"]);
});

test("duplicates are accepted and not delivered", async (t) => {
  const url = await fifo(t, "duplicates");
  const one = { QueueUrl: url, MessageBody: "m", MessageGroupId: "g", MessageDeduplicationId: "d" };
  const first = await sqs.sendMessage(one);
  const second = await sqs.sendMessage({ ...one, MessageBody: "other" });
  assert.equal(second.MessageId, first.MessageId);
  assert.equal(second.SequenceNumber, first.SequenceNumber);
  const [m] = await receive(url);
  assert.equal(m.Body, "m");
  assert.equal(m.Attributes.MessageDeduplicationId, "d");
  await sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: m.ReceiptHandle });
  await sqs.sendMessage(one); // it was deleted, and is a duplicate nevertheless
  await sqs.sendMessage({ ...one, MessageGroupId: "h" }); // of another group, but the scope is the queue
  assert.deepEqual(await counts(url), [0, 0, 0]);
});

test("duplicates by content", async (t) => {
  const url = await fifo(t, "content", content);
  const send = (body, more) => sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: "g", ...more });
  const a = await send("same");
  const attributes = { MessageAttributes: { k: { DataType: "String", StringValue: "v" } } };
  assert.equal((await send("same", attributes)).MessageId, a.MessageId); // attributes do not count
  assert.notEqual((await send("same", { MessageDeduplicationId: "explicit" })).MessageId, a.MessageId);
  assert.deepEqual((await receive(url)).map((m) => m.Body), ["same", "same"]);
});

test("duplicates in a message group", async (t) => {
  const url = await fifo(t, "scope", { ...content, DeduplicationScope: "messageGroup", FifoThroughputLimit: "perMessageGroupId" });
  for (const MessageGroupId of ["g", "h", "g"]) await sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageGroupId });
  assert.deepEqual(await counts(url), [2, 0, 0]);
  await fails("InvalidAttributeValue", sqs.createQueue({
    QueueName: "js-limit.fifo",
    Attributes: { FifoQueue: "true", FifoThroughputLimit: "perMessageGroupId", DeduplicationScope: "queue" },
  }));
});

test("batches keep their order", async (t) => {
  const url = await fifo(t, "batches", content);
  const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `e${i}`, MessageBody: `${i}`, MessageGroupId: "g" }));
  const { MessageGroupId, ...without } = Entries[4];
  await fails("InvalidParameterValue", sqs.sendMessageBatch({ QueueUrl: url, Entries: [...Entries.slice(5), without] }), /MessageGroupId/);
  assert.deepEqual(await counts(url), [0, 0, 0]); // this fault refuses the whole batch
  const sent = await sqs.sendMessageBatch({ QueueUrl: url, Entries });
  assert.deepEqual(sent.Failed ?? [], []);
  assert.ok(sent.Successful.every((s) => /^\d{20}$/.test(s.SequenceNumber)));
  const all = await receive(url);
  assert.deepEqual(all.map((m) => m.Body), Entries.map((e) => e.MessageBody));
  const deleted = await sqs.deleteMessageBatch({ QueueUrl: url, Entries: all.map((m, i) => ({ Id: `d${i}`, ReceiptHandle: m.ReceiptHandle })) });
  assert.equal(deleted.Successful.length, 10);
  assert.deepEqual(await counts(url), [0, 0, 0]);
});

test("the same attempt gets the same messages", async (t) => {
  const url = await fifo(t, "attempt", content);
  for (const body of ["1", "2"]) await sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: "g" });
  const attempt = { ReceiveRequestAttemptId: "attempt-1", VisibilityTimeout: 30 };
  const first = await receive(url, attempt);
  const second = await receive(url, attempt);
  assert.deepEqual(first.map((m) => m.Body), ["1", "2"]);
  assert.deepEqual(second.map((m) => m.MessageId), first.map((m) => m.MessageId));
  assert.deepEqual(await receive(url, { ReceiveRequestAttemptId: "attempt-2", WaitTimeSeconds: 0 }), []);
});

test("a handle that has expired deletes nothing", async (t) => {
  const url = await fifo(t, "expired", content);
  await sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageGroupId: "g" });
  const [m] = await receive(url, { VisibilityTimeout: 0 });
  const [again] = await receive(url);
  assert.equal(again.MessageId, m.MessageId);
  await fails("InvalidParameterValue", sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: m.ReceiptHandle }), /The receipt handle has expired/);
  assert.deepEqual(await counts(url), [0, 1, 0]);
  await sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: again.ReceiptHandle });
  assert.deepEqual(await counts(url), [0, 0, 0]);
});

test("dead letters of a FIFO queue", async (t) => {
  const standard = await makeQueue(t, "fifo-dead-standard");
  const dead = await fifo(t, "dead");
  const policy = (arn) => JSON.stringify({ deadLetterTargetArn: arn, maxReceiveCount: "1" });
  await fails(
    "InvalidParameterValue",
    sqs.createQueue({ QueueName: "js-mixed.fifo", Attributes: { FifoQueue: "true", RedrivePolicy: policy(await queueArn(standard)) } }),
  );
  const url = await fifo(t, "alive", { ...content, RedrivePolicy: policy(await queueArn(dead)) });
  for (const body of ["1", "2"]) await sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageGroupId: "g" });
  const [m] = await receive(url, { MaxNumberOfMessages: 1, VisibilityTimeout: 0 });
  assert.equal(m.Body, "1");
  const [next] = await receive(url, { MaxNumberOfMessages: 1 }); // the first one died, the group goes on
  assert.equal(next.Body, "2");
  const [d] = await receive(dead);
  assert.equal(d.Body, "1");
  assert.equal(d.Attributes.MessageGroupId, "g");
  assert.equal(d.Attributes.DeadLetterQueueSourceArn, await queueArn(url));
});

test("many consumers, every group in order", async (t) => {
  const url = await fifo(t, "many");
  const groups = 8, each = 25;
  const producers = Array.from({ length: groups }, async (_, g) => {
    for (let i = 0; i < each; i++) {
      await sqs.sendMessage({ QueueUrl: url, MessageBody: `${i}`, MessageGroupId: `g${g}`, MessageDeduplicationId: `${g}-${i}` });
    }
  });
  const seen = new Map();
  let left = groups * each;
  const consumers = Array.from({ length: 4 }, async () => {
    const own = new SQS(config);
    try {
      while (left > 0) {
        for (const m of await receive(url, { WaitTimeSeconds: 1, MaxNumberOfMessages: 3 })) {
          const group = m.Attributes.MessageGroupId;
          assert.equal(Number(m.Body), seen.get(group) ?? 0, `the next message of ${group}`);
          seen.set(group, Number(m.Body) + 1);
          left--;
          await own.deleteMessage({ QueueUrl: url, ReceiptHandle: m.ReceiptHandle });
        }
      }
    } finally {
      own.destroy();
    }
  });
  await Promise.all([...producers, ...consumers]);
  assert.deepEqual([...seen.values()], Array(groups).fill(each));
});
