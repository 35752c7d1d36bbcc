package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"
)

func TestStreamRefused(t *testing.T) {
	for _, args := range [][]string{
		{"stream"}, {"stream", "list", "x"}, {"stream", "describe"}, {"stream", "eat", "x"}, {"stream", "create", "x", "y"},
		{"stream", "put", "x", "key"}, {"stream", "create", "x", "--retention", "soon"}, {"stream", "create", "x", "--retention", "0"},
		{"stream", "tail", "x", "--from", "yesterday"}, {"stream", "tail", "x", "--consumer", "c", "--from", "1"},
		{"stream", "seek", "x", "--to", "oldest"}, {"stream", "seek", "x", "--consumer", "c"}, {"stream", "seek", "x", "--consumer", "c", "--to", "yesterday"},
	} {
		if err := dispatch(args); err == nil || errors.Is(err, errUsage) || strings.Contains(err.Error(), "cannot ask") {
			t.Errorf("weir %q: %v", args, err)
		}
	}
}

func TestStreamActions(t *testing.T) {
	want := []string{"list", "create", "describe", "put", "tail", "lag", "seek", "reshard", "delete"}
	if got := actionsOf(streamVerb); !reflect.DeepEqual(got, want) {
		t.Errorf("actions of stream: %q", got)
	}
}

func TestPrintable(t *testing.T) {
	for data, want := range map[string]string{
		`{"post":"p"}`: `{"post":"p"}`, "é": "é", "": "", "two\nlines": `"two\nlines"`, "\x1b[31m": `"\x1b[31m"`, "\xff": `"\xff"`,
	} {
		if got := printable([]byte(data)); got != want {
			t.Errorf("%q: %s, want %s", data, got, want)
		}
	}
}
