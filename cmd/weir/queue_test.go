package main

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/console"
)

func TestQueueRefused(t *testing.T) {
	for _, args := range [][]string{
		{"queue"}, {"queue", "list", "x"}, {"queue", "describe"}, {"queue", "eat", "x"}, {"queue", "create", "x", "y"}, {"queue", "search", "x"},
		{"queue", "cancel", "x"}, {"queue", "send", "x"}, {"queue", "send", "x", "b", "--delay", "soon"}, {"queue", "send", "x", "b", "--delay", "1.5s"},
		{"queue", "receive", "x", "--wait", "-1s"}, {"queue", "receive", "x", "--visibility", "1"}, {"queue", "redrive", "x", "eat"},
		{"queue", "redrive", "x", "--rate", "fast"}, {"queue", "redrive", "x", "--rate", "1.5/s"}, {"queue", "redrive", "x", "list", "y"},
	} {
		if err := dispatch(args); err == nil || errors.Is(err, errUsage) || strings.Contains(err.Error(), "cannot ask") {
			t.Errorf("weir %q: %v", args, err)
		}
	}
}

func TestQueueActions(t *testing.T) {
	want := []string{"list", "create", "describe", "peek", "search", "cancel", "purge", "delete", "redrive", "send", "receive"}
	if got := actionsOf(queueVerb); !reflect.DeepEqual(got, want) {
		t.Errorf("actions of queue: %q", got)
	}
}

func TestAge(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	for ago, want := range map[time.Duration]string{
		0: "0.0s", 1500 * time.Millisecond: "1.5s", 90 * time.Second: "1m30s", 2 * time.Minute: "2m", 25 * time.Hour: "25h0m",
		72 * time.Hour: "3d", -time.Second: "0.0s",
	} {
		at := now.Add(-ago)
		if got := age(&at, now); got != want {
			t.Errorf("%v ago: %q, want %q", ago, got, want)
		}
	}
	if got := age(nil, now); got != "-" {
		t.Errorf("never: %q", got)
	}
}

func TestShortBody(t *testing.T) {
	long := strings.Repeat("é", maxShownBody)
	for body, want := range map[string]string{
		"plain": "plain", "": "", `{"post":"p"}`: `{"post":"p"}`, "two\nlines": `"two\nlines"`, "\x1b[31mred": `"\x1b[31mred"`,
		long: long, long + "x": long + "...",
	} {
		if got := shortBody(body); got != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}

func TestPrintQueue(t *testing.T) {
	now := time.Unix(1_000_000, 0).UTC()
	oldest := now.Add(-90 * time.Second)
	q := &console.Queue{
		Name: "orders", Partitions: 3, Created: now, Attributes: map[string]string{"VisibilityTimeout": "30", "DelaySeconds": "0"},
		Tags: map[string]string{"team": "web"}, DeadLetters: "orders-dead", Sources: []string{"a", "b"},
		Counts: console.QueueCounts{Visible: 5, Delayed: 4, InFlight: 3, Claimed: 2, Dead: 1, Bytes: 77, Groups: 9, Noisy: 6, Oldest: &oldest},
	}
	text, _ := printed(t, func() error { printQueue(q, now); return nil })
	for _, want := range []string{"orders", "standard", "partitions    3", "5 messages", "4 messages", "3 messages", "2 messages", "1 messages, on their way",
		"77 bytes", "1m30s", "9, 6 of them noisy", "go to orders-dead", "come from a, b", "VisibilityTimeout", "tag team"} {
		if !strings.Contains(text, want) && !strings.Contains(strings.Join(strings.Fields(text), " "), strings.Join(strings.Fields(want), " ")) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if strings.Index(text, "DelaySeconds") > strings.Index(text, "VisibilityTimeout") {
		t.Errorf("the attributes are not in order:\n%s", text)
	}
}

func TestPrintMessages(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	later := now.Add(30 * time.Second)
	page := &console.QueueMessages{Next: "0.7", Messages: []console.QueueMessage{
		{ID: "id-1", Body: "two\nlines", Place: "in-flight", VisibleAt: &later, Sent: now.Add(-5 * time.Second), Receives: 3, Group: "tenant"},
		{ID: "id-2", Body: "plain", Place: "visible", Sent: now},
	}}
	text, _ := printed(t, func() error { printMessages(page, true, now); return nil })
	for _, want := range []string{"PLACE", "in-flight for 30s", "5.0s", "tenant", `"two\nlines"`, "plain", "--start 0.7"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	page.Next = ""
	text, _ = printed(t, func() error { printMessages(page, false, now); return nil })
	if strings.Contains(text, "PLACE") || strings.Contains(text, "in-flight") || strings.Contains(text, "--start") {
		t.Errorf("received messages have places, or another page:\n%s", text)
	}
}

func TestPrintMoves(t *testing.T) {
	moves := []console.Move{
		{Handle: "h", Status: "RUNNING", Source: "dead", Rate: 7, Moved: 1, ToMove: 3, Started: time.Unix(0, 0).UTC()},
		{Status: "FAILED", Source: "dead", Destination: "other", Reason: "gone"},
	}
	text, _ := printed(t, func() error { printMoves(moves); return nil })
	for _, want := range []string{"1970-01-01 00:00:00", "RUNNING", "where they died", "7/s", "1 of 3", "FAILED: gone", "other", "no limit"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
