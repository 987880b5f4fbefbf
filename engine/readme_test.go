package engine_test

import (
	"os"
	"strings"
	"testing"
)

// TestReadme makes sure that the code which the README shows is code that compiles and runs: that of ExampleEngine.
func TestReadme(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	example, err := os.ReadFile("example_engine_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, found := strings.Cut(string(readme), "```go\n")
	code, _, closed := strings.Cut(rest, "```")
	if !found || !closed {
		t.Fatal("the README shows no Go code")
	}
	if !strings.Contains(string(example), code) {
		t.Error("the code in the README isn't that of ExampleEngine: copy it from example_engine_test.go")
	}
}
