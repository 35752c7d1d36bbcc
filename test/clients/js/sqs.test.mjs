// Standard queues through the AWS SDK for JavaScript v3, which verifies the
// digests of what it sends and receives.
import assert from "node:assert/strict";
import { test } from "node:test";
import { paginateListQueues, QueueDoesNotExist } from "@aws-sdk/client-sqs";
import { counts, eventually, fails, makeQueue, queueArn, receive, receiveAll, sqs } from "./weir.mjs";

test("queues", async (t) => {
  const url = await makeQueue(t, "queues", { VisibilityTimeout: "45" });
  assert.equal((await sqs.createQueue({ QueueName: "js-queues", Attributes: { VisibilityTimeout: "45" } })).QueueUrl, url);
  assert.equal((await sqs.getQueueUrl({ QueueName: "js-queues" })).QueueUrl, url);
  await fails("QueueNameExists", sqs.createQueue({ QueueName: "js-queues", Attributes: { VisibilityTimeout: "46" } }));
  await assert.rejects(sqs.getQueueUrl({ QueueName: "js-nowhere" }), (e) => e instanceof QueueDoesNotExist && e.$metadata.httpStatusCode === 400);
  const made = [];
  for (let i = 0; i < 5; i++) made.push(await makeQueue(t, `page-${i}`));
  const pages = [];
  for await (const page of paginateListQueues({ client: sqs, pageSize: 2 }, { QueueNamePrefix: "js-page-" })) pages.push(page.QueueUrls ?? []);
  assert.deepEqual(pages.flat(), made);
  assert.equal(pages.length, 3);
});

test("attributes and tags", async (t) => {
  const url = await makeQueue(t, "attributes");
  await sqs.setQueueAttributes({ QueueUrl: url, Attributes: { VisibilityTimeout: "7", MaximumMessageSize: "2048" } });
  const { Attributes: a } = await sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ["All"] });
  assert.equal(a.VisibilityTimeout, "7");
  assert.equal(a.MaximumMessageSize, "2048");
  assert.equal(a.MessageRetentionPeriod, "345600");
  assert.match(a.QueueArn, /^arn:aws:sqs:us-east-1:\d{12}:js-attributes$/);
  assert.ok(Math.abs(Number(a.CreatedTimestamp) - Date.now() / 1000) < 120);
  const { Attributes: two } = await sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ["DelaySeconds", "QueueArn"] });
  assert.deepEqual(Object.keys(two).sort(), ["DelaySeconds", "QueueArn"]);
  await fails("InvalidAttributeValue", sqs.setQueueAttributes({ QueueUrl: url, Attributes: { VisibilityTimeout: "43201" } }));
  await fails("InvalidAttributeName", sqs.setQueueAttributes({ QueueUrl: url, Attributes: { Colour: "red" } }));
  await fails("InvalidParameterValue", sqs.sendMessage({ QueueUrl: url, MessageBody: "x".repeat(2049) }), /2048/);

  await sqs.tagQueue({ QueueUrl: url, Tags: { team: "feeds", stage: "test" } });
  await sqs.untagQueue({ QueueUrl: url, TagKeys: ["stage", "none"] });
  assert.deepEqual((await sqs.listQueueTags({ QueueUrl: url })).Tags, { team: "feeds" });
});

test("messages of every kind", async (t) => {
  const url = await makeQueue(t, "messages");
  const MessageAttributes = {
    text: { DataType: "String", StringValue: "Grüße 世界" },
    count: { DataType: "Number.int", StringValue: "42" },
    bytes: { DataType: "Binary.png", BinaryValue: new Uint8Array([0, 255, 10]) },
  };
  const MessageSystemAttributes = { AWSTraceHeader: { DataType: "String", StringValue: "Root=1-5759e988-bd862e3fe1be46a994272793" } };
  for (const body of ["plain", "Grüße, 世界 𝄞 \t\r\n <&>\"'", '{"a":[1,2]}', " spaces ", "x".repeat(262144 - 200)]) {
    const sent = await sqs.sendMessage({ QueueUrl: url, MessageBody: body, MessageAttributes, MessageSystemAttributes });
    const [m] = await receive(url);
    assert.equal(m.Body, body);
    assert.equal(m.MessageId, sent.MessageId);
    assert.equal(m.MD5OfMessageAttributes, sent.MD5OfMessageAttributes);
    assert.deepEqual(Object.keys(m.MessageAttributes).sort(), ["bytes", "count", "text"]);
    assert.equal(m.MessageAttributes.text.StringValue, "Grüße 世界");
    assert.deepEqual([...m.MessageAttributes.bytes.BinaryValue], [0, 255, 10]);
    assert.equal(m.Attributes.AWSTraceHeader, MessageSystemAttributes.AWSTraceHeader.StringValue);
    assert.equal(m.Attributes.ApproximateReceiveCount, "1");
    assert.ok(Math.abs(Number(m.Attributes.SentTimestamp) - Date.now()) < 60_000);
    await sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: m.ReceiptHandle });
  }
  assert.deepEqual(await counts(url), [0, 0, 0]);
  await fails("InvalidMessageContents", sqs.sendMessage({ QueueUrl: url, MessageBody: "a\u0001b" }));
  await fails("ReceiptHandleIsInvalid", sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: "nonsense" }));
  await fails(
    "InvalidParameterValue",
    sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageAttributes: { a: { DataType: "Text", StringValue: "x" } } }),
  );
});

test("attributes that were asked for", async (t) => {
  const url = await makeQueue(t, "asked");
  const text = (StringValue) => ({ DataType: "String", StringValue });
  await sqs.sendMessage({ QueueUrl: url, MessageBody: "m", MessageAttributes: { "app.one": text("1"), "app.two": text("2"), other: text("3") } });
  const ask = async (names) => {
    const [m] = await receive(url, { MessageAttributeNames: names, MessageSystemAttributeNames: ["ApproximateReceiveCount"], VisibilityTimeout: 0 });
    assert.deepEqual(Object.keys(m.Attributes), ["ApproximateReceiveCount"]);
    return Object.keys(m.MessageAttributes ?? {}).sort();
  };
  assert.deepEqual(await ask(["app.*"]), ["app.one", "app.two"]);
  assert.deepEqual(await ask(["other", "none"]), ["other"]);
  assert.deepEqual(await ask([".*"]), ["app.one", "app.two", "other"]);
  assert.deepEqual(await ask([]), []);
});

test("long poll, delay and visibility", async (t) => {
  const url = await makeQueue(t, "times", { ReceiveMessageWaitTimeSeconds: "10" });
  const waiting = sqs.receiveMessage({ QueueUrl: url });
  await sqs.sendMessage({ QueueUrl: url, MessageBody: "wake" });
  const woken = (await waiting).Messages[0];
  assert.equal(woken.Body, "wake");
  await sqs.changeMessageVisibility({ QueueUrl: url, ReceiptHandle: woken.ReceiptHandle, VisibilityTimeout: 0 });
  const [again] = await receive(url, { VisibilityTimeout: 1 });
  assert.equal(again.Attributes.ApproximateReceiveCount, "2");
  const [third] = await receive(url); // when its second is over
  assert.equal(third.Attributes.ApproximateReceiveCount, "3");
  assert.equal(third.Attributes.ApproximateFirstReceiveTimestamp, again.Attributes.ApproximateFirstReceiveTimestamp);
  await sqs.deleteMessage({ QueueUrl: url, ReceiptHandle: third.ReceiptHandle });
  await sqs.sendMessage({ QueueUrl: url, MessageBody: "later", DelaySeconds: 1 });
  assert.deepEqual(await counts(url), [0, 0, 1]);
  assert.equal((await receive(url))[0].Body, "later");
});

test("batches", async (t) => {
  const url = await makeQueue(t, "batches");
  const Entries = Array.from({ length: 10 }, (_, i) => ({ Id: `e${i}`, MessageBody: i === 3 ? "bad \u0002" : `m${i}` }));
  const sent = await sqs.sendMessageBatch({ QueueUrl: url, Entries });
  assert.equal(sent.Successful.length, 9);
  assert.deepEqual(sent.Failed.map((f) => [f.Id, f.SenderFault, f.Code]), [["e3", true, "InvalidMessageContents"]]);
  const handles = (await receiveAll(url, 9)).map((m, i) => ({ Id: `h${i}`, ReceiptHandle: m.ReceiptHandle }));
  const changed = await sqs.changeMessageVisibilityBatch({ QueueUrl: url, Entries: handles.map((h) => ({ ...h, VisibilityTimeout: 60 })) });
  assert.equal(changed.Successful.length, 9);
  const deleted = await sqs.deleteMessageBatch({ QueueUrl: url, Entries: [...handles.slice(1), { Id: "bad", ReceiptHandle: "nonsense" }] });
  assert.equal(deleted.Successful.length, 8);
  assert.deepEqual(deleted.Failed.map((f) => [f.Id, f.Code]), [["bad", "ReceiptHandleIsInvalid"]]);
  assert.deepEqual(await counts(url), [0, 1, 0]);
  const entry = (Id) => ({ Id, MessageBody: "x" });
  await fails("BatchEntryIdsNotDistinct", sqs.sendMessageBatch({ QueueUrl: url, Entries: [entry("a"), entry("a")] }));
  await fails("EmptyBatchRequest", sqs.sendMessageBatch({ QueueUrl: url, Entries: [] }));
  await fails("InvalidBatchEntryId", sqs.sendMessageBatch({ QueueUrl: url, Entries: [entry("a b")] }));
  await fails("TooManyEntriesInBatchRequest", sqs.sendMessageBatch({ QueueUrl: url, Entries: Array.from({ length: 11 }, (_, i) => entry(`e${i}`)) }));
  await fails("BatchRequestTooLong", sqs.sendMessageBatch({ QueueUrl: url, Entries: ["a", "b"].map((Id) => ({ Id, MessageBody: "x".repeat(600_000) })) }));
});

test("dead letters", async (t) => {
  const dead = await makeQueue(t, "dead");
  const deadLetterTargetArn = await queueArn(dead);
  const url = await makeQueue(t, "alive", { RedrivePolicy: JSON.stringify({ deadLetterTargetArn, maxReceiveCount: 2 }) });
  assert.deepEqual((await sqs.listDeadLetterSourceQueues({ QueueUrl: dead })).queueUrls, [url]);
  const { MessageId } = await sqs.sendMessage({ QueueUrl: url, MessageBody: "poison" });
  for (let i = 0; i < 2; i++) assert.equal((await receive(url, { VisibilityTimeout: 0 })).length, 1);
  assert.deepEqual(await receive(url, { WaitTimeSeconds: 0 }), []);
  const [m] = await receive(dead);
  assert.equal(m.MessageId, MessageId);
  assert.equal(m.Attributes.DeadLetterQueueSourceArn, await queueArn(url));
});

test("purge", async (t) => {
  const url = await makeQueue(t, "purge");
  await sqs.sendMessage({ QueueUrl: url, MessageBody: "m" });
  await sqs.purgeQueue({ QueueUrl: url });
  assert.deepEqual(await counts(url), [0, 0, 0]);
  await fails("PurgeQueueInProgress", sqs.purgeQueue({ QueueUrl: url }));
});

test("permissions", async (t) => {
  const url = await makeQueue(t, "permissions");
  await sqs.addPermission({ QueueUrl: url, Label: "friends", AWSAccountIds: ["111122223333"], Actions: ["SendMessage", "ReceiveMessage"] });
  await fails(
    "InvalidParameterValue",
    sqs.addPermission({ QueueUrl: url, Label: "friends", AWSAccountIds: ["111122223333"], Actions: ["SendMessage"] }),
    /already exists/i,
  );
  const { Attributes } = await sqs.getQueueAttributes({ QueueUrl: url, AttributeNames: ["Policy"] });
  const [statement] = JSON.parse(Attributes.Policy).Statement;
  assert.equal(statement.Sid, "friends");
  assert.equal(statement.Effect, "Allow");
  assert.match(JSON.stringify(statement.Principal), /arn:aws:iam::111122223333:root/);
  assert.equal(statement.Resource, await queueArn(url));
  await sqs.removePermission({ QueueUrl: url, Label: "friends" });
  await fails("InvalidParameterValue", sqs.removePermission({ QueueUrl: url, Label: "friends" }));
});

test("move tasks", async (t) => {
  const dead = await makeQueue(t, "move-dead");
  const SourceArn = await queueArn(dead);
  await fails("InvalidParameterValue", sqs.startMessageMoveTask({ SourceArn }), /Dead Letter Queue/);
  const url = await makeQueue(t, "move-alive", { RedrivePolicy: JSON.stringify({ deadLetterTargetArn: SourceArn, maxReceiveCount: 1 }) });
  const bodies = ["a", "b", "c"];
  for (const MessageBody of bodies) await sqs.sendMessage({ QueueUrl: url, MessageBody });
  for (let i = 0; i < 3; i++) await receive(url, { VisibilityTimeout: 0, WaitTimeSeconds: 0 });
  await eventually("all messages died", async () => (await receive(url, { VisibilityTimeout: 0, WaitTimeSeconds: 0 }), (await counts(dead))[0] === 3));
  const { TaskHandle } = await sqs.startMessageMoveTask({ SourceArn });
  assert.ok(TaskHandle);
  assert.deepEqual((await receiveAll(url, 3)).map((m) => m.Body).sort(), bodies);
  let tasks;
  await eventually("the task is completed", async () => {
    tasks = (await sqs.listMessageMoveTasks({ SourceArn })).Results;
    return tasks[0].Status === "COMPLETED";
  });
  assert.equal(tasks[0].SourceArn, SourceArn);
  assert.equal(tasks[0].ApproximateNumberOfMessagesMoved, 3);
  assert.equal(tasks[0].ApproximateNumberOfMessagesToMove, 3);
  assert.equal(tasks[0].TaskHandle, undefined);
  assert.deepEqual(await counts(dead), [0, 0, 0]);
  await fails("InvalidParameterValue", sqs.cancelMessageMoveTask({ TaskHandle }), /active/);
  await fails("ResourceNotFoundException", sqs.listMessageMoveTasks({ SourceArn: SourceArn + "-none" }));
});
