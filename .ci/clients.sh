#!/usr/bin/env bash
# Runs the AWS CLI and boto3, unchanged, against 'expunge serve'. What isn't on the machine, or is too old to know data
# deletion jobs, is said and passed over: this script installs nothing.
set -euo pipefail
cd "$(dirname "$0")/.."

work=$(mktemp -d)
server=
finish() {
	status=$?
	if [ -n "$server" ]; then
		kill -TERM "$server" 2>/dev/null || true
		wait "$server" || { echo "the server ended with status $?"; status=1; }
	fi
	if [ "$status" != 0 ] && [ -f "$work/log" ]; then echo "-- the server's log:"; tail -20 "$work/log"; fi
	rm -rf "$work"
	exit "$status"
}
trap finish EXIT

fail() { echo "FAILED: $*"; exit 1; }

# equal WHAT GOT WANT
equal() { [ "$2" = "$3" ] || fail "$1: got '$2', want '$3'"; }

cli= sdk=
if ! command -v aws >/dev/null; then
	echo "The AWS CLI is not installed: its part did not run."
elif ! aws personalize create-data-deletion-job --generate-cli-skeleton >/dev/null 2>&1; then
	echo "The AWS CLI here ($(aws --version 2>&1)) is too old for data deletion jobs: its part did not run."
else
	cli=yes
fi
if ! command -v python3 >/dev/null || ! python3 -c 'import boto3' 2>/dev/null; then
	echo "boto3 is not installed: its part did not run."
elif ! python3 -c 'import boto3, sys; c = boto3.client("personalize", region_name="us-east-1"); sys.exit(not hasattr(c, "create_data_deletion_job"))'; then
	echo "boto3 here is too old for data deletion jobs: its part did not run."
else
	sdk=yes
fi
[ -n "$cli$sdk" ] || { echo "No client ran."; exit 0; }

go build -o "$work/expunge" ./cmd/expunge
mkdir -p "$work/buckets/shop/lists/2026"
for n in 1 2 3 4 5 6 7 8; do echo "u$n,3$n"; done | sed '1i USER_ID,AGE' >"$work/buckets/shop/users.csv"
for n in 1 2 3 4 5 6 7 8; do echo "u$n,i$n,170000000$n"; done | sed '1i USER_ID,ITEM_ID,TIMESTAMP' >"$work/buckets/shop/events.csv"
printf 'USER_ID\nu1\nu2\n' >"$work/buckets/shop/lists/a.csv"
printf 'USER_ID\nu3\nnobody\n' >"$work/buckets/shop/lists/2026/b.csv"
printf 'ID\nu4\n' >"$work/buckets/shop/bad.csv"
# The server and the clients are given the same file of access keys.
(umask 077 && printf '[default]\naws_access_key_id = AKIDEXAMPLE\naws_secret_access_key = %s\n' "$(head -c 30 /dev/urandom | base64)" >"$work/keys")

"$work/expunge" serve --store "$work/s.expunge" --listen 127.0.0.1:0 --buckets "$work/buckets" --keys "$work/keys" --json -v >"$work/ready" 2>"$work/log" &
server=$!
for _ in $(seq 200); do
	grep -q '^}' "$work/ready" && break
	kill -0 "$server" 2>/dev/null || fail "the server did not start"
	sleep 0.05
done
url=$(sed -n 's/.*"url": "\(.*\)".*/\1/p' "$work/ready")
[ -n "$url" ] || fail "the server did not say where it is"

export AWS_SHARED_CREDENTIALS_FILE=$work/keys AWS_CONFIG_FILE=/dev/null AWS_REGION=us-east-1 AWS_DEFAULT_REGION=us-east-1 AWS_PAGER= NO_PROXY=127.0.0.1
export AWS_EC2_METADATA_DISABLED=true EXPUNGE_URL=$url EXPUNGE_BUCKETS=$work/buckets
unset AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN AWS_PROFILE AWS_ENDPOINT_URL 2>/dev/null || true
role=arn:aws:iam::000000000000:role/lists

if [ -n "$cli" ]; then
	echo "== $(aws --version 2>&1)"
	p() { aws --endpoint-url "$url" personalize "$@"; }
	# refused CODE ARGS: the operation has to end in this exception.
	refused() {
		local code=$1 text
		shift
		if text=$(p "$@" 2>&1); then fail "$1 went through"; fi
		case $text in *"($code)"*) ;; *) fail "$1: $text" ;; esac
	}
	record() { printf '{"type":"record","name":"%s","namespace":"com.amazonaws.personalize.schema","version":"1.0","fields":[%s]}' "$1" "$2"; }

	group=$(p create-dataset-group --name cli --tags tagKey=team,tagValue=a --query datasetGroupArn --output text)
	equal 'ARN of the group' "$group" arn:aws:personalize:us-east-1:000000000000:dataset-group/cli
	users=$(p create-schema --name cli-users --schema "$(record Users '{"name":"USER_ID","type":"string"},{"name":"AGE","type":"int"}')" --query schemaArn --output text)
	events=$(p create-schema --name cli-events --schema "$(record Interactions '{"name":"USER_ID","type":"string"},{"name":"ITEM_ID","type":"string"},{"name":"TIMESTAMP","type":"long"}')" --query schemaArn --output text)
	p create-dataset --name users --schema-arn "$users" --dataset-group-arn "$group" --dataset-type Users >"$work/out"
	p create-dataset --name events --schema-arn "$events" --dataset-group-arn "$group" --dataset-type INTERACTIONS >"$work/out"
	for d in USERS:users INTERACTIONS:events; do
		job=$(p create-dataset-import-job --job-name "cli-${d#*:}" --dataset-arn "arn:aws:personalize:us-east-1:000000000000:dataset/cli/${d%:*}" \
			--data-source "dataLocation=s3://shop/${d#*:}.csv" --role-arn "$role" --import-mode FULL --query datasetImportJobArn --output text)
		until status=$(p describe-dataset-import-job --dataset-import-job-arn "$job" --query datasetImportJob.status --output text) && [[ $status != CREATE\ [PI]* ]]; do sleep 0.1; done
		equal "import of ${d#*:}" "$status" ACTIVE
	done

	# The skeleton that the CLI makes, filled in, is an input that it takes.
	p create-data-deletion-job --generate-cli-skeleton >"$work/skeleton.json"
	python3 - "$work/skeleton.json" "$group" "$role" <<'PY'
import json, sys
path, group, role = sys.argv[1:]
with open(path) as f:
    job = json.load(f)
job.update(jobName="cli-june", datasetGroupArn=group, roleArn=role, dataSource={"dataLocation": "s3://shop/lists/"}, tags=[{"tagKey": "case", "tagValue": "17"}])
with open(path, "w") as f:
    json.dump(job, f)
PY
	job=$(p create-data-deletion-job --cli-input-json "file://$work/skeleton.json" --query dataDeletionJobArn --output text)
	equal 'ARN of the job' "$job" arn:aws:personalize:us-east-1:000000000000:data-deletion-job/cli-june
	until status=$(p describe-data-deletion-job --data-deletion-job-arn "$job" --query dataDeletionJob.status --output text) && [[ $status != PENDING && $status != IN_PROGRESS ]]; do sleep 0.1; done
	equal 'status and numDeleted' "$(p describe-data-deletion-job --data-deletion-job-arn "$job" --query 'dataDeletionJob.[status,numDeleted]' --output text)" "$(printf 'COMPLETED\t6')"
	p describe-data-deletion-job --data-deletion-job-arn "$job" --output table | grep -q 's3://shop/lists/' || fail 'the table has no location'
	p describe-data-deletion-job --data-deletion-job-arn "$job" --output json | grep -q '"creationDateTime"' || fail 'the JSON has no time'
	p create-data-deletion-job --job-name cli-bad --dataset-group-arn "$group" --data-source dataLocation=s3://shop/bad.csv --role-arn "$role" --output table >"$work/out"
	until status=$(p describe-data-deletion-job --data-deletion-job-arn "${job%june}bad" --query dataDeletionJob.status --output text) && [[ $status != PENDING && $status != IN_PROGRESS ]]; do sleep 0.1; done
	equal 'a job with a bad list' "$status" FAILED
	p describe-data-deletion-job --data-deletion-job-arn "${job%june}bad" --query dataDeletionJob.failureReason --output text | grep -q 'bad.csv' || fail 'the reason does not name the file'
	equal 'jobs, newest first' "$(p list-data-deletion-jobs --dataset-group-arn "$group" --no-paginate --query 'dataDeletionJobs[].jobName' --output text)" "$(printf 'cli-bad\tcli-june')"
	equal 'a page' "$(p list-data-deletion-jobs --max-results 1 --query 'length(dataDeletionJobs)' --output text)" 1
	token=$(p list-data-deletion-jobs --max-results 1 --query nextToken --output text)
	equal 'the next page' "$(p list-data-deletion-jobs --max-results 1 --next-token "$token" --query 'dataDeletionJobs[0].jobName' --output text)" cli-june
	equal 'pages of the CLI' "$(p list-datasets --dataset-group-arn "$group" --page-size 1 --query 'length(datasets)' --output json)" 2
	equal 'tags' "$(p list-tags-for-resource --resource-arn "$job" --query 'tags[0].tagValue' --output text)" 17

	refused ResourceAlreadyExistsException create-data-deletion-job --cli-input-json "file://$work/skeleton.json"
	refused ResourceNotFoundException describe-data-deletion-job --data-deletion-job-arn "${job}x"
	refused InvalidInputException create-data-deletion-job --job-name 'no good' --dataset-group-arn "$group" --data-source dataLocation=s3://shop/lists/ --role-arn "$role"
	refused InvalidInputException list-data-deletion-jobs --max-results 101
	refused InvalidNextTokenException list-dataset-import-jobs --no-paginate --next-token "$token"
	refused ResourceInUseException delete-dataset-group --dataset-group-arn "$group"
	refused UnknownOperationException list-recipes
	AWS_REGION=eu-west-1 AWS_DEFAULT_REGION=eu-west-1 refused InvalidSignatureException list-schemas
	AWS_ACCESS_KEY_ID=AKIDOTHER AWS_SECRET_ACCESS_KEY=other refused UnrecognizedClientException list-schemas
	echo 'The AWS CLI: all went as with the service.'
fi

if [ -n "$sdk" ]; then
	python3 .ci/clients.py
fi

code=$(curl -s -o /dev/null -w '%{http_code}' "$url/healthz") || true
equal 'healthz' "$code" 200
kill -TERM "$server"
wait "$server" || fail "the server ended with status $?"
server=
"$work/expunge" check --store "$work/s.expunge" >"$work/out" || fail "$(cat "$work/out")"
echo 'Clients: done.'
