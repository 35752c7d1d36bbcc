package main

import (
	"path/filepath"
	"strings"
	"testing"

	"weir.dev/weir/internal/lost"
)

func TestLostVerb(t *testing.T) {
	data := t.TempDir()
	text, err := printed(t, func() error { return dispatch([]string{"lost", "--data", data}) })
	if err != nil || text != "no writes at level async were lost here\n" {
		t.Errorf("%q, %v", text, err)
	}
	writes := []lost.Write{
		{Table: "likes", Tablet: "t3", Term: 7, Index: 12, Proposed: "2026-01-02T03:04:05.678Z", Answered: true, Certain: true, Op: "put", Key: `S"a"`, Item: []byte(`{"pk":{"S":"a"}}`)},
		{Table: "likes", Tablet: "t3", Term: 7, Index: 12, Proposed: "2026-01-02T03:04:05.678Z", Op: "delete", Key: `S"b"`},
	}
	if _, err := lost.Save(filepath.Join(data, lost.Dir), writes); err != nil {
		t.Fatal(err)
	}
	text, err = printed(t, func() error { return dispatch([]string{"lost", "--data", data}) })
	want := `t3-term-7-index-12.jsonl: 2 writes
  2026-01-02T03:04:05.678Z  answered, lost  put likes S"a"  {"pk":{"S":"a"}}
  2026-01-02T03:04:05.678Z  perhaps answered, perhaps lost  delete likes S"b"
`
	if err != nil || text != want {
		t.Errorf("%v\n got %s\nwant %s", err, text, want)
	}
	text, err = printed(t, func() error { return dispatch([]string{"lost", "--data", data, "--json"}) })
	if err != nil || strings.Count(text, "\n") != 2 || !strings.Contains(text, `"op":"delete"`) {
		t.Errorf("%q, %v", text, err)
	}
	if err := dispatch([]string{"lost", "x"}); err == nil {
		t.Error("an argument that means nothing was taken")
	}
}
