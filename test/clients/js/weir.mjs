// What the checks in JavaScript share: clients for the Weir at WEIR_ENDPOINT,
// and names that no other check uses.
import assert from "node:assert/strict";
import { after } from "node:test";
import { DynamoDBClient } from "@aws-sdk/client-dynamodb";
import { SQS } from "@aws-sdk/client-sqs";

export const config = {
  endpoint: process.env.WEIR_ENDPOINT,
  region: "us-east-1",
  credentials: { accessKeyId: "any", secretAccessKey: "any" },
  maxAttempts: 3,
};

export const sqs = new SQS(config);
export const dynamodb = new DynamoDBClient(config);
after(() => {
  sqs.destroy();
  dynamodb.destroy();
});

// makeQueue makes a queue that goes when the test ends, and returns its URL.
export async function makeQueue(t, name, attributes = {}) {
  const { QueueUrl } = await sqs.createQueue({ QueueName: `js-${name}`, Attributes: attributes });
  t.after(() => sqs.deleteQueue({ QueueUrl }));
  return QueueUrl;
}

export async function queueArn(QueueUrl) {
  return (await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ["QueueArn"] })).Attributes.QueueArn;
}

// counts are the visible, the invisible and the delayed messages of a queue.
export async function counts(QueueUrl) {
  const { Attributes: a } = await sqs.getQueueAttributes({ QueueUrl, AttributeNames: ["All"] });
  return ["", "NotVisible", "Delayed"].map((s) => Number(a[`ApproximateNumberOfMessages${s}`]));
}

// receive asks for up to ten messages with all of their attributes.
export async function receive(QueueUrl, more = {}) {
  const answer = await sqs.receiveMessage({
    QueueUrl,
    MaxNumberOfMessages: 10,
    WaitTimeSeconds: 5,
    MessageSystemAttributeNames: ["All"],
    MessageAttributeNames: ["All"],
    ...more,
  });
  return answer.Messages ?? [];
}

// receiveAll receives until it has n messages.
export async function receiveAll(QueueUrl, n, more = {}) {
  const all = [];
  while (all.length < n) {
    const some = await receive(QueueUrl, more);
    assert.ok(some.length > 0, `only ${all.length} of ${n} messages came`);
    all.push(...some);
  }
  return all;
}

// fails requires that a call is refused with that error of the SDK.
export async function fails(name, call, message) {
  await assert.rejects(call, (e) => {
    assert.equal(e.name, name, e.message);
    if (message) assert.match(e.message, message);
    return true;
  });
}

// eventually asks until it is told true, at most for half a minute unless told.
export async function eventually(what, ask, milliseconds = 30_000) {
  const last = performance.now() + milliseconds;
  for (;;) {
    if (await ask()) return;
    assert.ok(performance.now() < last, `${what} did not come true`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
