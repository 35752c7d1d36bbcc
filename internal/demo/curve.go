package demo

import (
	"sort"
	"time"
)

// Point is a measurement at a moment.
type Point struct {
	At    time.Duration
	Value float64
}

// Curve is a row of measurements with growing times. Between two points it is
// a line; before the first it is zero, and after the last it stays.
type Curve []Point

// Add puts a point at the end. One that is not later than the last replaces it.
func (c *Curve) Add(at time.Duration, value float64) {
	if n := len(*c); n > 0 && (*c)[n-1].At >= at {
		(*c)[n-1].Value = value
		return
	}
	*c = append(*c, Point{at, value})
}

// End is the time of the last point.
func (c Curve) End() time.Duration {
	if len(c) == 0 {
		return 0
	}
	return c[len(c)-1].At
}

// Last is the value of the last point.
func (c Curve) Last() float64 { return c.At(c.End()) }

// Max is the largest value.
func (c Curve) Max() (v float64) {
	for _, p := range c {
		v = max(v, p.Value)
	}
	return v
}

// At is the value at a moment.
func (c Curve) At(t time.Duration) float64 {
	i := sort.Search(len(c), func(i int) bool { return c[i].At >= t })
	switch {
	case len(c) == 0:
		return 0
	case i == len(c):
		return c[i-1].Value
	case c[i].At == t:
		return c[i].Value
	case i == 0:
		return 0
	}
	a, b := c[i-1], c[i]
	return a.Value + (b.Value-a.Value)*float64(t-a.At)/float64(b.At-a.At)
}

// smoothing is the time over which pictures average a rate: long enough to
// even out the measurements' own jitter, short enough to show edges where they
// are.
const smoothing = 500 * time.Millisecond

// Rate is the growth per second of a running sum, averaged over window around
// t, or over the part of the window that was measured.
func (c Curve) Rate(t, window time.Duration) float64 {
	from, to := max(0, t-window/2), min(c.End(), t+window/2)
	if to <= from {
		return 0
	}
	return (c.At(to) - c.At(from)) / (to - from).Seconds()
}

// RateNow is the growth per second over the last window.
func (c Curve) RateNow(window time.Duration) float64 { return c.Rate(c.End()-window/2, window) }

// rates draws a running sum as its rate, a point per step.
func (c Curve) rates(step time.Duration) (r Curve) {
	for t := time.Duration(0); t <= c.End()-smoothing/2; t += step {
		r.Add(t, c.Rate(t, smoothing))
	}
	return r
}

// Reached is the time of the first point that is at least v, zero without one.
func (c Curve) Reached(v float64) time.Duration {
	for _, p := range c {
		if p.Value >= v {
			return p.At
		}
	}
	return 0
}

// Measured is what the curves show at a moment.
type Measured struct {
	Seconds float64 `json:"at_seconds"`
	Sent    int64   `json:"sent"`
	Applied int64   `json:"applied"`
	Backlog int64   `json:"backlog"`
}

// Samples reads the curves once in every.
func (p *Picture) Samples(every time.Duration) (all []Measured) {
	for t := time.Duration(0); t <= p.Sent.End(); t += every {
		all = append(all, Measured{t.Seconds(), int64(p.Sent.At(t)), int64(p.Applied.At(t)), int64(p.Backlog.At(t))})
	}
	return all
}
