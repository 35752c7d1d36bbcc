package load

import (
	"encoding/base64"
	"errors"
	"math"
	"testing"
	"time"
)

func TestQuantiles(t *testing.T) {
	var h, other Histogram
	for i := 1; i <= 1000; i++ {
		h.Add(time.Duration(i) * time.Microsecond)
	}
	for i := 1001; i <= 10000; i++ {
		other.Add(time.Duration(i) * time.Microsecond)
	}
	h.Merge(&other)
	for _, q := range []float64{0.01, 0.5, 0.99, 0.999} {
		want := q * 10000 * 1e3
		if got := float64(h.Quantile(q)); math.Abs(got-want) > want/50 {
			t.Errorf("the quantile %v is %v, want about %v", q, time.Duration(got), time.Duration(want))
		}
	}
	if h.Count() != 10000 || h.Quantile(1) != 10*time.Millisecond {
		t.Errorf("count %d, largest %v", h.Count(), h.Quantile(1))
	}
}

func TestBucketsJoin(t *testing.T) {
	for v := uint64(1); v < 1<<40; v += v/7 + 1 {
		if u := upper(bucket(v)); u < v || float64(u) > float64(v)*(1+1.0/64)+1 {
			t.Fatalf("%d is counted as at most %d", v, u)
		}
	}
}

func TestKey(t *testing.T) {
	for n, want := range map[uint64]string{0: "k00000000000", 7: "k00000000007", 19999: "k00000019999"} {
		if got := string(appendKey(nil, n)); got != want {
			t.Errorf("key %d is %s", n, got)
		}
	}
}

// The signing key of the example in AWS's documentation of SigV4.
func TestDayKey(t *testing.T) {
	key := DayKey("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "20150830", "iam")
	const want = "c4afb1cc5771d871763a393e44b703571b55cc28424d1a5e86da6ed3c154a4b9"
	if got := hexOf(key); got != want {
		t.Errorf("the key is %s", got)
	}
}

func hexOf(b []byte) (s string) {
	const digits = "0123456789abcdef"
	for _, c := range b {
		s += string(digits[c>>4]) + string(digits[c&15])
	}
	return s
}

// A stamp is read as it was written, and stands in a record's base64 text.
func TestStamp(t *testing.T) {
	now := time.UnixMicro(1_795_000_000_123_456)
	text := recordText(1)
	putStamp(text, now)
	if got, ok := readStamp(text); !ok || got != now.UnixMicro() {
		t.Errorf("the stamp is %d, %v", got, ok)
	}
	data, err := base64.StdEncoding.Strict().DecodeString(string(text))
	if err != nil || len(data) != RecordBytes {
		t.Errorf("the text is of %d bytes: %v", len(data), err)
	}
	if _, ok := readStamp(text[1:]); ok {
		t.Error("what has no mark is read as a stamp")
	}
}

// Groups come in turn, and no deduplication id twice.
func TestGroups(t *testing.T) {
	g := newGroups(2, 3)
	g.id = 0xfe
	body := g.appendTo(g.appendTo([]byte("{")))
	g.patch(body)
	g.patch(body)
	const want = `{,"MessageGroupId":"g00000008","MessageDeduplicationId":"0000000000000100"` +
		`,"MessageGroupId":"g00000006","MessageDeduplicationId":"0000000000000101"`
	if string(body) != want {
		t.Errorf("the body is %s", body)
	}
}

func TestQuota(t *testing.T) {
	q := NewQuota(25, time.Minute)
	f := &quotaFiller{one: func() error { return nil }, units: 10, quota: q}
	for range 2 {
		if n, err := f.Do(); n != 10 || err != nil {
			t.Fatalf("%d, %v", n, err)
		}
	}
	if _, err := f.Do(); !errors.Is(err, ErrDone) || q.Done() != 20 {
		t.Errorf("%v after %d", err, q.Done())
	}
}
