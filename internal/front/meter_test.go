package front

import (
	"fmt"
	"testing"
	"time"
)

// TestMeter: what clients make up is not counted apart, and errors are told by
// whose they are.
func TestMeter(t *testing.T) {
	m := &meter{}
	var last lastMeter
	for _, c := range []struct {
		operation string
		status    int
	}{{"Made.Up", 400}, {"Made.Up", 400}, {"Put", 400}, {"Put", 200}, {"Put", 400}, {"Get", 503}, {"Put", 200}, {"Put", 500}} {
		m.observe(&last, operationName{"S", c.operation}, c.status, time.Millisecond)
	}
	s := &Server{}
	s.meter.known = m.known
	got := ""
	for _, o := range s.Operations() {
		got += fmt.Sprintf("%s.%s %d requests, %d and %d errors; ", o.Service, o.Operation, o.Latency.Count, o.ClientErrors, o.ServerErrors)
	}
	if want := "S.Get 1 requests, 0 and 1 errors; S.Put 4 requests, 1 and 1 errors; other.other 3 requests, 3 and 0 errors; "; got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	for i := range 2 * maxOperations {
		m.observe(&last, operationName{"S", fmt.Sprint("Op", i)}, 200, time.Millisecond)
	}
	if n := len(m.known); n > maxOperations {
		t.Errorf("%d operations are counted apart", n)
	}
}

func BenchmarkMeter(b *testing.B) {
	m := &meter{}
	var last lastMeter
	name := operationName{"DynamoDB_20120810", "PutItem"}
	for b.Loop() {
		begun := time.Now()
		m.observe(&last, name, 200, time.Since(begun))
	}
}
