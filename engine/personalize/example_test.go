package personalize_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"

	"github.com/expunge-db/expunge/engine"
	"github.com/expunge-db/expunge/engine/personalize"
)

// A server for the tests of a program that calls Amazon Personalize: give the program's client server.URL as its endpoint.
func Example() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	e, err := engine.Open(ctx, filepath.Join(dir, "test.expunge"), engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer e.Close(ctx)
	server := httptest.NewServer(personalize.New(e, personalize.Options{}))
	defer server.Close()

	// What a client sends.
	request, err := http.NewRequest(http.MethodPost, server.URL, strings.NewReader(`{"name":"shop"}`))
	if err != nil {
		log.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-amz-json-1.1")
	request.Header.Set("X-Amz-Target", "AmazonPersonalize.CreateDatasetGroup")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(response.Status)
	fmt.Println(string(body))
	// Output:
	// 200 OK
	// {"datasetGroupArn":"arn:aws:personalize:us-east-1:000000000000:dataset-group/shop"}
}
