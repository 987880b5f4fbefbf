package sdktest

import (
	"bufio"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// dart sends a request in the exact form of the Dart package aws_client and returns the answer: all headers are signed, the
// body's hash too, the host without the port that is sent, and the content type can come with a character set.
func (s *service) dart(path, contentType, target, body string) (status int, header http.Header, answer string) {
	s.t.Helper()
	address := s.server.Listener.Addr().String()
	host, _, err := net.SplitHostPort(address)
	must(s.t, err)
	hash := func(text string) string {
		sum := sha256.Sum256([]byte(text))
		return hex.EncodeToString(sum[:])
	}
	now := time.Now().UTC().Format("20060102T150405Z")
	headers := []string{"content-type:" + contentType, "host:" + host, "x-amz-content-sha256:" + hash(body), "x-amz-date:" + now}
	if target != "" {
		headers = append(headers, "x-amz-target:"+target)
	}
	var names []string
	for _, h := range headers {
		name, _, _ := strings.Cut(h, ":")
		names = append(names, name)
	}
	canonical := "POST\n" + path + "\n\n" + strings.Join(headers, "\n") + "\n\n" + strings.Join(names, ";") + "\n" + hash(body)
	scope := now[:8] + "/us-east-1/personalize/aws4_request"
	key := []byte("AWS4" + secret)
	for _, part := range []string{now[:8], "us-east-1", "personalize", "aws4_request", "AWS4-HMAC-SHA256\n" + now + "\n" + scope + "\n" + hash(canonical)} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	conn, err := net.Dial("tcp", address)
	must(s.t, err)
	defer conn.Close()
	request := "POST " + path + " HTTP/1.1\r\nuser-agent: Dart/3.5 (dart:io)\r\naccept-encoding: gzip\r\nhost: " + address + "\r\n"
	for _, h := range headers {
		if !strings.HasPrefix(h, "host:") {
			request += h + "\r\n"
		}
	}
	request += fmt.Sprintf("content-length: %d\r\nauthorization: AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s\r\n\r\n%s",
		len(body), keyID, scope, strings.Join(names, ";"), hex.EncodeToString(key), body)
	_, err = io.WriteString(conn, request)
	must(s.t, err)
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	must(s.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(s.t, err)
	return response.StatusCode, response.Header, string(text)
}

func TestRequestsOfTheDartClient(t *testing.T) {
	s := start(t, nil)
	shop := s.newShop("shop")
	s.put("list.csv", "USER_ID\nnobody\n")
	const rpc, target = "application/x-amz-json-1.1", "AmazonPersonalize."
	for _, contentType := range []string{rpc, rpc + "; charset=utf-8"} {
		name := fmt.Sprint("j", len(contentType))
		status, header, body := s.dart("/", contentType, target+"CreateDataDeletionJob",
			`{"dataSource":{"dataLocation":"s3://data/list.csv"},"datasetGroupArn":"`+*shop.group+`","jobName":"`+name+`","roleArn":"`+role+`"}`)
		if status != 200 || body != `{"dataDeletionJobArn":"arn:aws:personalize:us-east-1:000000000000:data-deletion-job/`+name+`"}` {
			t.Errorf("got %d %s", status, body)
		}
		// It takes headers for members.
		for name := range header {
			if got := strings.ToLower(name); got != "date" && got != "content-type" && got != "content-length" && got != "x-amzn-requestid" {
				t.Errorf("the answer has a header %s", name)
			}
		}
	}
	status, _, body := s.dart("/", rpc, target+"DescribeDatasetGroup", `{"datasetGroupArn":"`+*shop.group+`none"}`)
	if status != 400 || !strings.HasPrefix(body, `{"__type":"ResourceNotFoundException","message":"`) {
		t.Errorf("got %d %s", status, body)
	}
	if status, _, body = s.dart("/", rpc, target+"DeleteDatasetGroup", `{"datasetGroupArn":"`+*shop.group+`"}`); status != 400 || !strings.Contains(body, "ResourceInUseException") {
		t.Errorf("got %d %s", status, body)
	}
}
