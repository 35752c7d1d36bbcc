package sqs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"weir.dev/weir/internal/service"
)

// shape is what this test reads of AWS's model.
type shape struct {
	Type    string
	Member  shapeRef
	Key     shapeRef
	Value   shapeRef
	Members map[string]shapeRef
}

type shapeRef struct{ Shape string }

// members are the names of all members that a shape reaches.
func members(shapes map[string]shape, name string, into map[string]bool) {
	s := shapes[name]
	for _, part := range []shapeRef{s.Member, s.Value} {
		if part.Shape != "" {
			members(shapes, part.Shape, into)
		}
	}
	for m, ref := range s.Members {
		into[m] = true
		members(shapes, ref.Shape, into)
	}
}

// neverAnswered are members of answers that no script sees: values of message
// attributes that the API reserves, and the reason of a task that failed, for
// which tasks must run (TestMoveTask).
var neverAnswered = []string{"StringListValues", "BinaryListValues", "FailureReason"}

// TestScriptsCoverTheModel holds the scripts to send every member of every
// operation of SQS, to be answered every member, and to call every operation
// in both protocols.
func TestScriptsCoverTheModel(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "awsapi", "models", "sqs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var model struct {
		Operations map[string]struct{ Input, Output shapeRef }
		Shapes     map[string]shape
	}
	if err := json.Unmarshal(text, &model); err != nil {
		t.Fatal(err)
	}
	sent, answered, query := scripts(t)
	for _, op := range operationNames {
		if query[op] == 0 {
			t.Errorf("no script calls %s in the Query protocol", op)
		}
		for what, c := range map[string]struct{ shape, text string }{
			"sends":       {model.Operations[op].Input.Shape, sent[op]},
			"is answered": {model.Operations[op].Output.Shape, answered[op]},
		} {
			all := map[string]bool{}
			members(model.Shapes, c.shape, all)
			for m := range all {
				if !strings.Contains(c.text, `"`+m+`":`) && (what == "sends" || !slices.Contains(neverAnswered, m)) {
					t.Errorf("no script of %s %s %s", op, what, m)
				}
			}
		}
	}
	if len(operationNames) != len(model.Operations) {
		t.Errorf("the model has %d of %d operations", len(model.Operations), len(operationNames))
	}
}

// scripts are all requests and all answers of the scripts that are JSON, by
// operation, and how many requests are not.
func scripts(t *testing.T) (sent, answered map[string]string, query map[string]int) {
	sent, answered, query = map[string]string{}, map[string]string{}, map[string]int{}
	files, err := filepath.Glob(filepath.Join("testdata", "*"))
	if err != nil || len(files) < 9 {
		t.Fatalf("%d scripts, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for block := range strings.SplitSeq(string(text), "\n\n") {
			for strings.HasPrefix(block, "#") {
				_, block, _ = strings.Cut(block, "\n")
			}
			head, rest, _ := strings.Cut(block, "\n")
			op, args, _ := strings.Cut(head, " ")
			if strings.HasPrefix(args, "query") {
				query[op]++
				continue
			}
			in, out, _ := strings.Cut(rest, "----")
			sent[op] += in
			answered[op] += out
		}
	}
	return sent, answered, query
}

// TestMoveTask shows tasks as ListMessageMoveTasks does.
func TestMoveTask(t *testing.T) {
	c := &call{req: request("ListMessageMoveTasks", "")}
	for want, task := range map[string]service.MoveTask{
		`{"TaskHandle":"h","Status":"RUNNING","SourceArn":"arn:aws:sqs:us-east-1:000000000000:dead","MaxNumberOfMessagesPerSecond":7,` +
			`"ApproximateNumberOfMessagesMoved":1,"ApproximateNumberOfMessagesToMove":2,"StartedTimestamp":3}`: {
			Handle: "h", Status: "RUNNING", Source: "dead", MaxPerSec: 7, Moved: 1, ToMove: 2, StartedMs: 3,
		},
		`{"Status":"FAILED","SourceArn":"arn:aws:sqs:us-east-1:000000000000:dead","DestinationArn":"arn:aws:sqs:us-east-1:000000000000:other",` +
			`"ApproximateNumberOfMessagesMoved":0,"ApproximateNumberOfMessagesToMove":0,"FailureReason":"AWS.SimpleQueueService.NonExistentQueue","StartedTimestamp":0}`: {
			Status: "FAILED", Source: "dead", Destination: "other", Reason: "AWS.SimpleQueueService.NonExistentQueue",
		},
	} {
		e := c.moveTask(&task)
		if got := string(e.AppendJSON(nil)); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
