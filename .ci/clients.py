"""Calls a running server with boto3, as its users do; see clients.sh, which starts the server and this."""

import os
import time

import boto3
import botocore
from botocore.config import Config

URL = os.environ["EXPUNGE_URL"]
ROLE = "arn:aws:iam::000000000000:role/lists"
PREFIX = "arn:aws:personalize:us-east-1:000000000000:"

config = Config(retries={"total_max_attempts": 1})
personalize = boto3.client("personalize", endpoint_url=URL, config=config)
events = boto3.client("personalize-events", endpoint_url=URL, config=config)


def equal(what, got, want):
    if got != want:
        raise SystemExit(f"FAILED: {what}: got {got!r}, want {want!r}")


def refused(client, code, operation, **args):
    """The operation has to end in this exception: a type of the client, or else the code."""
    kind = getattr(client.exceptions, code) if code.endswith("Exception") and hasattr(client.exceptions, code) else botocore.exceptions.ClientError
    try:
        getattr(client, operation)(**args)
    except kind as e:
        equal(f"code of {operation}", e.response["Error"]["Code"], code)
        if not e.response["Error"]["Message"] or not e.response["ResponseMetadata"]["RequestId"]:
            raise SystemExit(f"FAILED: {operation}: no message or request ID")
        return
    raise SystemExit(f"FAILED: {operation} went through")


def record(name, *fields):
    columns = ",".join('{"name":"%s","type":%s}' % f for f in fields)
    return '{"type":"record","name":"%s","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[%s]}' % (name, columns)


def wait(describe, key, **args):
    while True:
        job = describe(**args)[key]
        if job["status"] not in ("PENDING", "IN_PROGRESS", "CREATE PENDING", "CREATE IN_PROGRESS"):
            return job
        time.sleep(0.05)


print(f"== boto3 {boto3.__version__}")
group = personalize.create_dataset_group(name="sdk")["datasetGroupArn"]
equal("status of the group", personalize.describe_dataset_group(datasetGroupArn=group)["datasetGroup"]["status"], "ACTIVE")
datasets = {}
for kind, schema in {
    "Users": record("Users", ("USER_ID", '"string"'), ("AGE", '"int"')),
    "Items": record("Items", ("ITEM_ID", '"string"'), ("PRICE", '["null","float"]')),
    "Interactions": record("Interactions", ("USER_ID", '"string"'), ("ITEM_ID", '"string"'), ("TIMESTAMP", '"long"')),
}.items():
    arn = personalize.create_schema(name=f"sdk-{kind}", schema=schema)["schemaArn"]
    equal("schema text", personalize.describe_schema(schemaArn=arn)["schema"]["schema"], schema)
    datasets[kind] = personalize.create_dataset(name=f"sdk-{kind}", schemaArn=arn, datasetGroupArn=group, datasetType=kind)["datasetArn"]
    equal("ARN of the dataset", datasets[kind], f"{PREFIX}dataset/sdk/{kind.upper()}")
for kind, file in {"Users": "users", "Interactions": "events"}.items():
    arn = personalize.create_dataset_import_job(
        jobName=f"sdk-{kind}", datasetArn=datasets[kind], dataSource={"dataLocation": f"s3://shop/{file}.csv"}, roleArn=ROLE)["datasetImportJobArn"]
    equal("import", wait(personalize.describe_dataset_import_job, "datasetImportJob", datasetImportJobArn=arn)["status"], "ACTIVE")

# The events service: a user who comes by events alone, and one who was imported.
tracker = personalize.create_event_tracker(name="sdk", datasetGroupArn=group)
equal("status of the tracker", personalize.describe_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])["eventTracker"]["trackingId"], tracker["trackingId"])
sent = {"eventType": "view", "itemId": "i1", "sentAt": 1700000100}
events.put_events(trackingId=tracker["trackingId"], sessionId="s1", eventList=[sent])  # theirs, once the next one says so
events.put_events(trackingId=tracker["trackingId"], userId="new", sessionId="s1", eventList=[dict(sent, sentAt=1700000101), dict(sent, sentAt=1700000102)])
events.put_events(trackingId=tracker["trackingId"], userId="u1", sessionId="s2", eventList=[sent])
events.put_users(datasetArn=datasets["Users"], users=[{"userId": "new", "properties": '{"age": 41}'}])
events.put_items(datasetArn=datasets["Items"], items=[{"itemId": "i1", "properties": '{"price": "1.5"}'}])
refused(events, "InvalidInputException", "put_events", trackingId="none", sessionId="s", eventList=[sent])
refused(events, "InvalidInputException", "put_events", trackingId=tracker["trackingId"], sessionId="s", eventList=[sent] * 11)
refused(events, "InvalidInputException", "put_events", trackingId=tracker["trackingId"], sessionId="s", eventList=[dict(sent, properties="no JSON")])
refused(events, "ResourceNotFoundException", "put_users", datasetArn=f"{PREFIX}dataset/none/USERS", users=[{"userId": "u"}])
refused(events, "InvalidInputException", "put_users", datasetArn=datasets["Items"], users=[{"userId": "u"}])
refused(events, "UnknownOperationException", "put_actions", datasetArn=datasets["Items"], actions=[{"actionId": "a"}])

exported = personalize.create_dataset_export_job(
    jobName="sdk", datasetArn=datasets["Users"], ingestionMode="ALL", roleArn=ROLE,
    jobOutput={"s3DataDestination": {"path": "s3://shop/export/"}})["datasetExportJobArn"]
equal("export", wait(personalize.describe_dataset_export_job, "datasetExportJob", datasetExportJobArn=exported)["status"], "ACTIVE")

with open(os.path.join(os.environ["EXPUNGE_BUCKETS"], "shop", "sdk.csv"), "w") as f:
    f.write("USER_ID\nnew\nu1\nnobody\n")
job = personalize.create_data_deletion_job(
    jobName="sdk", datasetGroupArn=group, dataSource={"dataLocation": "s3://shop/sdk.csv"}, roleArn=ROLE, tags=[{"tagKey": "case", "tagValue": "1"}])["dataDeletionJobArn"]
done = wait(personalize.describe_data_deletion_job, "dataDeletionJob", dataDeletionJobArn=job)
equal("the job", (done["status"], done.get("failureReason")), ("COMPLETED", None))
# new: a Users row and three events, one of them of the session before it was theirs. u1: a Users row, an imported interaction, an event.
equal("numDeleted", done["numDeleted"], 7)
equal("time of the job", done["lastUpdatedDateTime"] >= done["creationDateTime"], True)

refused(personalize, "ResourceAlreadyExistsException", "create_data_deletion_job", jobName="sdk", datasetGroupArn=group, dataSource={"dataLocation": "s3://shop/sdk.csv"}, roleArn=ROLE)
refused(personalize, "InvalidInputException", "create_data_deletion_job", jobName="sdk2", datasetGroupArn=group, dataSource={}, roleArn=ROLE)
refused(personalize, "TooManyTagsException", "tag_resource", resourceArn=job, tags=[{"tagKey": f"k{i}", "tagValue": "v"} for i in range(51)])
refused(personalize, "ResourceInUseException", "delete_schema", schemaArn=f"{PREFIX}schema/sdk-Users")
refused(personalize, "InvalidNextTokenException", "list_schemas", nextToken="none")
refused(personalize, "ValidationError", "list_schemas", maxResults=101)
refused(personalize, "UnknownOperationException", "list_solutions")
equal("pages of schemas", sorted(s["name"] for page in personalize.get_paginator("list_schemas").paginate(PaginationConfig={"PageSize": 2}) for s in page["schemas"] if s["name"].startswith("sdk")),
      ["sdk-Interactions", "sdk-Items", "sdk-Users"])

personalize.delete_event_tracker(eventTrackerArn=tracker["eventTrackerArn"])
for arn in datasets.values():
    personalize.delete_dataset(datasetArn=arn)
personalize.delete_dataset_group(datasetGroupArn=group)
refused(personalize, "ResourceNotFoundException", "describe_dataset_group", datasetGroupArn=group)
print("boto3: all went as with the service.")
