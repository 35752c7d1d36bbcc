"""DynamoDB through boto3: low-level client, resource, waiters, paginators.

botocore verifies the CRC32 of every answer by itself.
"""

import unittest
import zlib
from decimal import Decimal

from boto3.dynamodb.conditions import Attr, Key
from boto3.dynamodb.types import TypeDeserializer
import boto3

from common import PREFIX, Case, ENDPOINT, client, versions


class DynamoDB(Case):
    @classmethod
    def setUpClass(cls):
        cls.c = client("dynamodb")
        cls.resource = boto3.resource(
            "dynamodb", endpoint_url=ENDPOINT, region_name="us-east-1", aws_access_key_id="any", aws_secret_access_key="any"
        )

    def make(self, name, sort=None):
        name = "%s-%s" % (PREFIX, name)
        keys, attrs = [{"AttributeName": "pk", "KeyType": "HASH"}], [{"AttributeName": "pk", "AttributeType": "S"}]
        if sort:
            keys.append({"AttributeName": "sk", "KeyType": "RANGE"})
            attrs.append({"AttributeName": "sk", "AttributeType": sort})
        self.c.create_table(TableName=name, KeySchema=keys, AttributeDefinitions=attrs, BillingMode="PAY_PER_REQUEST")
        self.c.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1, "MaxAttempts": 10})
        self.addCleanup(self.c.delete_table, TableName=name)
        return name

    def test_tables(self):
        name = self.make("tables", "N")
        table = self.c.describe_table(TableName=name)["Table"]
        self.assertEqual(table["TableStatus"], "ACTIVE")
        self.assertEqual(table["TableArn"], "arn:aws:dynamodb:us-east-1:000000000000:table/" + name)
        self.assertEqual([k["KeyType"] for k in table["KeySchema"]], ["HASH", "RANGE"])
        names = []
        for page in self.c.get_paginator("list_tables").paginate(PaginationConfig={"PageSize": 1}):
            self.assertLessEqual(len(page["TableNames"]), 1)
            names += page["TableNames"]
        self.assertIn(name, names)
        self.assertEqual(names, sorted(names))
        self.fails(
            "ResourceInUseException",
            self.c.create_table,
            TableName=name,
            KeySchema=table["KeySchema"],
            AttributeDefinitions=table["AttributeDefinitions"],
            BillingMode="PAY_PER_REQUEST",
        )
        with self.assertRaises(self.c.exceptions.ResourceNotFoundException) as caught:
            self.c.describe_table(TableName="nowhere")
        self.assertEqual(caught.exception.response["Error"]["Message"], "Requested resource not found: Table: nowhere not found")
        gone = name + "-gone"
        self.c.create_table(
            TableName=gone,
            KeySchema=[{"AttributeName": "k", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "k", "AttributeType": "B"}],
            ProvisionedThroughput={"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
        )
        self.c.delete_table(TableName=gone)
        self.c.get_waiter("table_not_exists").wait(TableName=gone, WaiterConfig={"Delay": 1, "MaxAttempts": 10})

    def test_types(self):
        table = self.resource.Table(self.make("types"))
        item = {
            "pk": "a", "text": "Grüße, 世界 𝄞 \x00", "empty": "", "yes": True, "none": None,
            "digits": Decimal("12345678901234567890123456789012345678"), "small": Decimal("1E-130"),
            "bytes": b"\x00\xff", "list": [Decimal(1), "x", [], {}], "map": {"inner": {"deep": Decimal("-0.5")}},
            "ss": {"a", "b"}, "ns": {Decimal(1), Decimal("2.5")}, "bs": {b"a", b"b"},
        }
        table.put_item(Item=item)
        got = table.get_item(Key={"pk": "a"}, ConsistentRead=True)["Item"]
        got["bytes"] = got["bytes"].value
        got["bs"] = {b.value for b in got["bs"]}
        self.assertEqual(got, item)
        # Beyond 38 digits boto3's own conversion fails, also with AWS (boto3 issue 2500): the plain client shows the number.
        large = {"pk": {"S": "large"}, "v": {"N": "9" * 38 + "0" * 88}}
        self.c.put_item(TableName=table.name, Item={"pk": {"S": "large"}, "v": {"N": "9." + "9" * 37 + "E+125"}})
        self.assertEqual(self.c.get_item(TableName=table.name, Key={"pk": {"S": "large"}}, ConsistentRead=True)["Item"], large)
        self.fails("ValidationException", self.c.put_item, TableName=table.name, Item={"pk": {"S": "a"}, "v": {"N": "1" * 39}})

    def test_crc32(self):
        table = self.make("crc")
        seen = []
        self.c.meta.events.register("before-parse.dynamodb.GetItem", lambda **kw: seen.append(kw["response_dict"]))
        self.c.put_item(TableName=table, Item={"pk": {"S": "a"}, "v": {"S": "x" * 1000}})
        self.c.get_item(TableName=table, Key={"pk": {"S": "a"}}, ConsistentRead=True)
        for answer in seen:
            self.assertEqual(int(answer["headers"]["x-amz-crc32"]), zlib.crc32(answer["body"]))

    def test_conditions(self):
        table = self.make("conditions")
        first = {"pk": {"S": "a"}, "v": {"N": "1"}}
        self.c.put_item(TableName=table, Item=first)
        arguments = dict(TableName=table, Item=first, ConditionExpression="attribute_not_exists(pk)")
        with self.assertRaises(self.c.exceptions.ConditionalCheckFailedException) as caught:
            self.c.put_item(**arguments)
        self.assertEqual(caught.exception.response["Error"]["Message"], "The conditional request failed")
        if "ReturnValuesOnConditionCheckFailure" in self.c.meta.service_model.operation_model("PutItem").input_shape.members:
            failed = self.fails("ConditionalCheckFailedException", self.c.put_item, ReturnValuesOnConditionCheckFailure="ALL_OLD", **arguments)
            self.assertEqual(failed["Item"], first)
        resource = self.resource.Table(table)
        resource.update_item(
            Key={"pk": "a"}, UpdateExpression="SET v = v + :n", ConditionExpression=Attr("v").eq(1) & Attr("w").not_exists(),
            ExpressionAttributeValues={":n": 1},
        )
        self.fails(
            "ConditionalCheckFailedException", resource.delete_item,
            Key={"pk": "a"}, ConditionExpression=Attr("v").is_in([1, 3]) | Attr("v").between(5, 9),
        )

    def test_return_values(self):
        table = self.resource.Table(self.make("returns"))
        table.put_item(Item={"pk": "a", "v": 1, "w": 5})

        def update(returns):
            return table.update_item(
                Key={"pk": "a"}, UpdateExpression="ADD v :n", ExpressionAttributeValues={":n": 1}, ReturnValues=returns
            ).get("Attributes")

        self.assertIsNone(update("NONE"))
        self.assertEqual(update("ALL_OLD"), {"pk": "a", "v": 2, "w": 5})
        self.assertEqual(update("ALL_NEW"), {"pk": "a", "v": 4, "w": 5})
        self.assertEqual(update("UPDATED_OLD"), {"v": 4})
        self.assertEqual(update("UPDATED_NEW"), {"v": 6})
        self.assertEqual(table.delete_item(Key={"pk": "a"}, ReturnValues="ALL_OLD")["Attributes"], {"pk": "a", "v": 6, "w": 5})

    def test_query_and_scan(self):
        table = self.resource.Table(self.make("query", "N"))
        with table.batch_writer() as batch:
            for i in range(60):
                batch.put_item(Item={"pk": "p%d" % (i % 3), "sk": i - 30, "even": i % 2 == 0})
        answer = table.query(
            KeyConditionExpression=Key("pk").eq("p0") & Key("sk").between(-10, 10), ConsistentRead=True, ReturnConsumedCapacity="TOTAL"
        )
        self.assertEqual([int(i["sk"]) for i in answer["Items"]], [-9, -6, -3, 0, 3, 6, 9])
        self.assertEqual(answer["ConsumedCapacity"], {"TableName": table.name, "CapacityUnits": 1.0})
        pages = self.c.get_paginator("query").paginate(
            TableName=table.name, KeyConditionExpression="pk = :p", ExpressionAttributeValues={":p": {"S": "p1"}},
            ScanIndexForward=False, ConsistentRead=True, PaginationConfig={"PageSize": 7},
        )
        keys = [int(i["sk"]["N"]) for page in pages for i in page["Items"]]
        self.assertEqual(keys, sorted(keys, reverse=True))
        self.assertEqual(len(keys), 20)
        pages = self.c.get_paginator("scan").paginate(TableName=table.name, ConsistentRead=True, PaginationConfig={"PageSize": 9})
        from_binary = TypeDeserializer()
        seen = {(i["pk"]["S"], from_binary.deserialize(i["sk"])) for page in pages for i in page["Items"]}
        self.assertEqual(len(seen), 60)
        self.assertEqual(table.scan(FilterExpression=Attr("even").eq(True), Select="COUNT", ConsistentRead=True)["Count"], 30)
        got = self.resource.batch_get_item(RequestItems={table.name: {"Keys": [{"pk": "p0", "sk": 0}, {"pk": "p0", "sk": 1}], "ConsistentRead": True}})
        self.assertEqual(len(got["Responses"][table.name]), 1)
        self.assertEqual(got["UnprocessedKeys"], {})

    def test_errors(self):
        table = self.make("errors")
        answer = self.fails(
            "ValidationException", self.c.update_item,
            TableName=table, Key={"pk": {"S": "a"}}, UpdateExpression="SET size = :n", ExpressionAttributeValues={":n": {"N": "1"}},
        )
        self.assertIn("reserved keyword: size", answer["Error"]["Message"])
        self.assertEqual(answer["ResponseMetadata"]["HTTPStatusCode"], 400)
        self.assertTrue(answer["ResponseMetadata"]["RequestId"])
        self.fails("UnknownOperationException", self.c.list_backups)


if __name__ == "__main__":
    print(versions(), flush=True)
    unittest.main()
