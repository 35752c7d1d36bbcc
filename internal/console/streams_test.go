package console_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"weir.dev/weir/internal/console"
	"weir.dev/weir/weirtest"
)

// TestStreams goes through the operations on streams at a whole node.
func TestStreams(t *testing.T) {
	srv := weirtest.Start(t)
	ask := func(method, path string, body, into any) string {
		t.Helper()
		text, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest(method, srv.ConsoleURL()+path, bytes.NewReader(text))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		answer, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if into == nil {
			return resp.Status + " " + string(answer)
		}
		if resp.StatusCode != http.StatusOK || json.Unmarshal(answer, into) != nil {
			t.Fatalf("%s %s: %s: %s", method, path, resp.Status, answer)
		}
		return ""
	}
	var st console.Stream
	forever := int64(0)
	ask("POST", "/api/streams", console.NewStream{Name: "s", Shards: 2, RetentionHours: &forever, Tags: map[string]string{"a": "b"}}, &st)
	if st.OpenShards != 2 || len(st.Shards) != 2 || st.Tags["a"] != "b" || st.RetentionHours != 0 || st.Status != "ACTIVE" {
		t.Errorf("made %+v", st)
	}
	var results []console.PutResult
	ask("POST", "/api/streams/s/records", console.PutRecords{Records: []console.NewRecord{{Key: "k", Data: []byte{0, 1}, HashKey: "0"}, {Key: "l", Data: []byte("x"), HashKey: "1"}}}, &results)
	if len(results) != 2 || results[0].Shard != st.Shards[0].ID || results[1].Sequence <= results[0].Sequence {
		t.Fatalf("put %+v", results)
	}
	var it console.Read
	ask("POST", "/api/streams/s/iterators", console.Position{Shard: results[0].Shard, Type: "AFTER_SEQUENCE_NUMBER", Sequence: results[0].Sequence}, &it)
	var page console.Records
	ask("POST", "/api/streams/s/read", it, &page)
	if len(page.Records) != 1 || page.Records[0].Key != "l" || string(page.Records[0].Data) != "x" || page.Next == "" || page.BehindMs != 0 {
		t.Errorf("read %+v", page)
	}

	var held console.Leases
	ask("POST", "/api/streams/s/consumers/c/lease", console.Lease{Member: "m"}, &held)
	if len(held.Leases) != 2 || held.Shards != 2 {
		t.Fatalf("leases %+v", held)
	}
	var lease console.ShardLease
	ask("POST", "/api/streams/s/consumers/c/commit", console.Commit{Shard: results[0].Shard, Generation: held.Leases[0].Generation, Sequence: results[0].Sequence}, &lease)
	var lags []console.Lag
	ask("GET", "/api/streams/s/lag?consumer=c", nil, &lags)
	if len(lags) != 2 || lags[0].Records != 1 || lags[0].Position != 2 || lags[0].Tip != 3 || lags[0].Member != "m" || lags[0].Commit == nil {
		t.Errorf("lag %+v", lags)
	}
	lags = nil
	ask("POST", "/api/streams/s/consumers/c/seek", console.Seek{To: "TRIM_HORIZON"}, &lags)
	if len(lags) != 2 || lags[0].Records != 2 || lags[0].Member != "" {
		t.Errorf("lag after going back to the start: %+v", lags)
	}
	ask("POST", "/api/streams/s/consumers/c/seek", console.Seek{To: "LATEST"}, &lags)
	if len(lags) != 2 || lags[0].Records != 0 || lags[0].Position != 3 {
		t.Errorf("lag after going to the end: %+v", lags)
	}
	ask("POST", "/api/streams/s/reshard", console.Reshard{Merge: []string{st.Shards[0].ID, st.Shards[1].ID}}, &st)
	if st.OpenShards != 1 || len(st.Shards) != 3 || len(st.Shards[2].Parents) != 2 {
		t.Errorf("merged %+v", st)
	}
	ask("POST", "/api/streams/s/reshard", console.Reshard{Split: "shardId-000000000002", At: "12345"}, &st)
	ask("POST", "/api/streams/s/reshard", console.Reshard{Shards: 3}, &st)
	var list []console.Stream
	if ask("GET", "/api/streams", nil, &list); len(list) != 1 || list[0].OpenShards != 3 {
		t.Errorf("list %+v", list)
	}
	for _, c := range []struct {
		method, path string
		body         any
		says         string
	}{
		{"GET", "/api/streams/no", nil, "404"},
		{"POST", "/api/streams", console.NewStream{Name: "s"}, "409"},
		{"POST", "/api/streams", console.NewStream{Name: "bad name"}, "400"},
		{"POST", "/api/streams", "x", "malformed JSON"},
		{"POST", "/api/streams/s/reshard", console.Reshard{Shards: 2, Split: "x"}, "say one of"},
		{"POST", "/api/streams/s/read", console.Read{Iterator: "x"}, "Invalid ShardIterator"},
		{"POST", "/api/streams/s/consumers/c/commit", console.Commit{Shard: results[0].Shard}, "says nothing"},
		{"POST", "/api/streams/s/consumers/c/commit", console.Commit{Shard: results[0].Shard, Generation: 99, End: true}, "409"},
		{"POST", "/api/streams/s/consumers/c/seek", console.Seek{To: "AT_TIMESTAMP"}, "needs a timestamp"},
		{"POST", "/api/streams/s/consumers/nobody/seek", console.Seek{To: "LATEST"}, "404"},
		{"DELETE", "/api/streams/s/consumers/c", nil, "200"},
		{"GET", "/api/streams/s/lag?consumer=c", nil, "404"},
		{"DELETE", "/api/streams/s", nil, "200"},
		{"GET", "/api/streams/s", nil, "404"},
	} {
		if got := ask(c.method, c.path, c.body, nil); !strings.Contains(got, c.says) {
			t.Errorf("%s %s: %s, want %q", c.method, c.path, got, c.says)
		}
	}
}
