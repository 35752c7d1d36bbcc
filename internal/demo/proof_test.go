package demo

import (
	"math"
	"testing"
	"time"
)

func TestCompare(t *testing.T) {
	sent := []Tally{{3, 7, 100}, {2, 2, 50}}
	for _, c := range []struct {
		name        string
		applied     []Tally
		lost, twice int64
		wrong       int
	}{
		{"equal", []Tally{{3, 7, 100}, {2, 2, 50}}, 0, 0, 0},
		{"one lost", []Tally{{2, 6, 60}, {2, 2, 50}}, 1, 0, 1},
		{"one twice", []Tally{{3, 7, 100}, {3, 3, 70}}, 0, 1, 1},
		{"one lost, another twice", []Tally{{2, 6, 60}, {3, 3, 70}}, 1, 1, 2},
		{"lost and twice in one post", []Tally{{3, 8, 100}, {2, 2, 50}}, 0, 0, 1},
		{"and with the same weights", []Tally{{3, 7, 101}, {2, 2, 50}}, 0, 0, 1},
		{"nothing", make([]Tally, 2), 5, 0, 2},
	} {
		p := Compare(sent, c.applied)
		if p.Lost != c.lost || p.Twice != c.twice || p.Wrong != c.wrong || p.Holds() != (c.wrong == 0) {
			t.Errorf("%s: %+v", c.name, p)
		}
		if p.Sent != (Tally{5, 9, 150}) {
			t.Errorf("%s: the sum is %+v", c.name, p.Sent)
		}
	}
	if got, want := Compare(sent, make([]Tally, 2)).String(), "5 sent, 0 applied, 5 lost, 0 twice; THE SUMS OF 2 POSTS DIFFER"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestTally(t *testing.T) {
	var got Tally
	got.Add(Click{Weight: 4, Print: 9})
	got.Add(Click{Weight: 1, Print: 2})
	if want := (Tally{2, 5, 11}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

func TestLongestPause(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	acks := []time.Duration{ms(2000), ms(0), ms(900), ms(1000), ms(1010), ms(1700)}
	for _, c := range []struct{ from, to, wantFrom, wantTo int }{
		{1005, 1500, 1010, 1700}, // not the longer one before
		{0, 3000, 0, 900},
		{1800, 1900, 1700, 2000},
		{5000, 6000, 0, 0},
	} {
		if got := LongestPause(acks, ms(c.from), ms(c.to)); got != (Pause{ms(c.wantFrom), ms(c.wantTo)}) {
			t.Errorf("from %d to %d: %v", c.from, c.to, got)
		}
	}
	if got := LongestPause(nil, 0, ms(10)); got.Length() != 0 {
		t.Errorf("no acknowledgement gave %v", got)
	}
}

func TestCurve(t *testing.T) {
	var c Curve
	if c.At(5) != 0 || c.Last() != 0 || c.Rate(0, time.Second) != 0 {
		t.Error("an empty curve is not zero")
	}
	c.Add(0, 0)
	c.Add(time.Second, 100)
	c.Add(3*time.Second, 500)
	c.Add(3*time.Second, 300)
	for at, want := range map[time.Duration]float64{0: 0, time.Second: 100, 500 * time.Millisecond: 50, 2 * time.Second: 200, 9 * time.Second: 300} {
		if got := c.At(at); got != want {
			t.Errorf("at %v: %g, want %g", at, got, want)
		}
	}
	for at, want := range map[time.Duration]float64{0: 100, time.Second: 100, 3 * time.Second: 100, 9 * time.Second: 0} {
		if got := c.Rate(at, 2*time.Second); got != want {
			t.Errorf("the rate at %v is %g, want %g", at, got, want)
		}
	}
	if c.Max() != 300 || c.End() != 3*time.Second || c.RateNow(time.Second) != 100 {
		t.Errorf("max %g, end %v, now %g", c.Max(), c.End(), c.RateNow(time.Second))
	}
}

// TestDeviations lets 30 s flow out at 99 a second with a backlog, but for two
// seconds from 15 s on.
func TestDeviations(t *testing.T) {
	var sent, applied Curve
	sent.Add(0, 0)
	sent.Add(step, 10000)
	sent.Add(40*time.Second, 10000)
	applied.Add(0, 0)
	applied.Add(15*time.Second, 15*99)
	applied.Add(17*time.Second, 15*99)
	applied.Add(30*time.Second, 28*99)
	calm, across := Deviations(sent, applied, 100, 15*time.Second, 17*time.Second)
	if calm.Windows == 0 || math.Abs(calm.Worst+0.01) > 1e-9 {
		t.Errorf("calm: %+v, want -0.01", calm)
	}
	if want := 0.99*0.8 - 1; across.Windows == 0 || math.Abs(across.Worst-want) > 1e-9 {
		t.Errorf("across the kill: %+v, want %g", across, want)
	}
	if calm, _ := Deviations(applied, applied, 100, 0, 0); calm.Windows != 0 {
		t.Errorf("without a backlog: %+v", calm)
	}
}
