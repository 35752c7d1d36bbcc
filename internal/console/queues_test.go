package console

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
)

func TestQueueEndpoints(t *testing.T) {
	h := newConsole(t, &node{}, nil)
	id := "00112233-4455-4677-8899-aabbccddeeff"
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/api/queues", "", 200, `"name":"clicks","fifo":false,"partitions":1`},
		{"GET", "/api/queues", "", 200, `"visible":5`},
		{"GET", "/api/queues?prefix=x", "", 200, `{"queues":[]}`},
		{"GET", "/api/queues?after=clicks", "", 200, `{"queues":[]}`},
		{"GET", "/api/queues?limit=0", "", 400, "limit is a number from 1 to 100"},
		{"GET", "/api/queues?limit=101", "", 400, "limit"},
		{"GET", "/api/queues?limit=x", "", 400, "limit"},
		{"GET", "/api/queues/clicks", "", 200, `"VisibilityTimeout":"30"`},
		{"GET", "/api/queues/nobody", "", 404, "not found"},
		{"POST", "/api/queues", "[]", 400, "malformed JSON"},
		{"POST", "/api/queues", `{"name":"a b"}`, 400, "alphanumeric"},
		{"POST", "/api/queues", `{"name":"a","attributes":{"Colour":"red"}}`, 400, "Unknown Attribute Colour."},
		{"POST", "/api/queues", `{"name":"a"}`, 503, "no leader"},
		{"POST", "/api/queues", `{"name":"clicks","attributes":{"DelaySeconds":"7"}}`, 409, "DelaySeconds"},
		{"POST", "/api/queues", `{"name":"clicks"}`, 200, `"name":"clicks"`},
		{"DELETE", "/api/queues/clicks", "", 503, "no leader"},
		{"DELETE", "/api/queues/nobody", "", 404, "not found"},
		{"POST", "/api/queues/clicks/purge", "{}", 503, "no leader"},
		{"POST", "/api/queues/nobody/purge", "{}", 404, "not found"},
		{"GET", "/api/queues/nobody/messages", "", 404, "not found"},
		{"GET", "/api/queues/clicks/messages?max=0", "", 400, "max is a number from 1 to 1000"},
		{"GET", "/api/queues/clicks/messages?max=1001", "", 400, "max"},
		{"GET", "/api/queues/clicks/messages?start=x", "", 400, "Start"},
		{"POST", "/api/queues/clicks/messages", "x", 400, "malformed JSON"},
		{"POST", "/api/queues/clicks/messages", `{}`, 400, "MessageBody"},
		{"POST", "/api/queues/clicks/messages", `{"body":"x","dedup":"d"}`, 400, "MessageDeduplicationId"},
		{"POST", "/api/queues/clicks/messages", `{"body":"x","attributes":[{"name":"b","type":"Binary","value":"?"}]}`, 400, "base64"},
		{"POST", "/api/queues/clicks/messages", `{"body":"x","attributes":[{"name":"b","type":"String","value":"1"},{"name":"b","type":"String","value":"2"}]}`, 400, "twice"},
		{"POST", "/api/queues/clicks/messages", `{"body":"x","delay":901}`, 400, "DelaySeconds"},
		{"POST", "/api/queues/clicks/messages", `{"body":"x"}`, 503, "no leader"},
		{"POST", "/api/queues/nobody/messages", `{"body":"x"}`, 404, "not found"},
		{"POST", "/api/queues/clicks/receive", `{"max":0}`, 400, "MaxNumberOfMessages"},
		{"POST", "/api/queues/clicks/receive", `{"max":1,"wait":16}`, 400, "wait is 0 to 15 seconds"},
		{"POST", "/api/queues/clicks/receive", `{"max":1,"visibility":-1}`, 400, "VisibilityTimeout"},
		{"POST", "/api/queues/clicks/receive", `{"max":1}`, 503, "no leader"},
		{"POST", "/api/queues/nobody/receive", `{"max":1}`, 404, "not found"},
		{"POST", "/api/queues/clicks/cancel", `{"ids":[]}`, 400, "1 to 10"},
		{"POST", "/api/queues/clicks/cancel", `{"ids":["x"]}`, 400, "no id of a message"},
		{"POST", "/api/queues/clicks/cancel", `{"ids":["` + id + `"]}`, 503, "no leader"},
		{"POST", "/api/queues/nobody/cancel", `{"ids":["` + id + `"]}`, 404, "not found"},
		{"PUT", "/api/queues/clicks", "", 405, ""},
	} {
		w := ask(h, c.method, c.path, c.body)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
			t.Errorf("%s %s %s: %d %s, want %d with %q", c.method, c.path, c.body, w.Code, w.Body, c.status, c.says)
		}
	}
}

// TestQueuesAuthorize: every operation on queues asks who calls.
func TestQueuesAuthorize(t *testing.T) {
	asked := 0
	h := newConsole(t, &node{}, func(*http.Request, []byte) error {
		asked++
		return model.Errorf(model.ErrAccessDenied, "who are you?")
	})
	calls := [][2]string{
		{"GET", "/api/queues"}, {"POST", "/api/queues"}, {"GET", "/api/queues/clicks"}, {"DELETE", "/api/queues/clicks"},
		{"POST", "/api/queues/clicks/purge"}, {"GET", "/api/queues/clicks/messages"}, {"POST", "/api/queues/clicks/messages"},
		{"POST", "/api/queues/clicks/receive"}, {"POST", "/api/queues/clicks/cancel"},
	}
	for i, c := range calls {
		if w := ask(h, c[0], c[1], "{}"); w.Code != 403 || asked != i+1 {
			t.Errorf("%s %s without a key: %d %s", c[0], c[1], w.Code, w.Body)
		}
	}
}

func TestMessageView(t *testing.T) {
	m := &model.Received{
		Message: model.Message{
			ID: model.MessageID{1, 2}, SentMs: 1000, Sender: "me", Group: "g", Dedup: "d", Body: []byte("é"),
			Attrs: []model.MessageAttr{{Name: "b", DataType: "Binary.x", Value: "\x00\xff"}, {Name: "t", DataType: "String", Value: "text"}},
		},
		Seq: 7, Receives: 2, Receipt: "r",
	}
	got := view(m, func(model.ResourceID) (string, bool) { return "", false })
	want := QueueMessage{
		ID: "01020000-0000-0000-0000-000000000000", Body: "é", Sent: time.Unix(1, 0).UTC(), Receives: 2, Group: "g", Dedup: "d",
		Sequence: "18800000000000000007", Sender: "me", Receipt: "r",
		Attributes: []MessageAttribute{{"b", "Binary.x", "AP8="}, {"t", "String", "text"}},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	m.Dedup, m.DeadFrom = "", 9
	got = view(m, func(id model.ResourceID) (string, bool) { return "orders", id == 9 })
	if got.Sequence != "" || got.DeadFrom != "orders" {
		t.Errorf("a standard queue's dead letter: %+v", got)
	}
}

func TestMessageIDs(t *testing.T) {
	id := model.MessageID{0, 1, 2, 250, 255}
	if got, ok := parseID(formatID(id)); !ok || got != id {
		t.Errorf("%s is read as %v, %v", formatID(id), got, ok)
	}
	if _, ok := parseID(strings.ToUpper(formatID(id))); !ok {
		t.Error("capital digits are refused")
	}
	for _, bad := range []string{"", "x", "00112233-4455-4677-8899-aabbccddeef", "00112233-4455-4677-8899-aabbccddeefg",
		"0011223344-55-4677-8899-aabbccddeeff", "00112233445546778899aabbccddeeff0000", "------------------------------------"} {
		if _, ok := parseID(bad); ok {
			t.Errorf("%q is taken for an id", bad)
		}
	}
}
