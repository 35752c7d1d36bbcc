// Package demo holds the pure parts of `weir demo`: a day of clicks, the
// curves that are measured while they flow, their pictures and the proof that
// each click counted once.
//
// It opens no connection, starts no process and asks no clock; the verb in
// cmd/weir does. Nothing here is safe for concurrent use. Start with NewDay.
package demo

import (
	"math"
	"time"

	"weir.dev/weir/internal/base"
)

// FlashFactor is how many times the quiet rate the flash crowd clicks.
const FlashFactor = 50

// Headroom is the outflow's set rate over the day's mean inflow. It is what
// lets the backlog drain.
const Headroom = 1.3

// MaxWeight is the largest weight of a click; the smallest is 1.
const MaxWeight = 5

// viralShare is the part of the flash crowd that clicks on one post.
const viralShare = 0.6

// Click is one "Like".
type Click struct {
	At     time.Duration // since the day's beginning
	Post   int           // which post, from 0
	Weight int           // what it adds to the post's score, 1 to MaxWeight
	Print  int64         // a random number below 2^40; sums of it tell clicks apart
}

// Day is a day of clicks, squeezed into Length.
type Day struct {
	Length time.Duration
	Posts  int
	Rate   float64 // the outflow that it is made for, clicks per second
	Quiet  float64 // the inflow at night, clicks per second
	Clicks []Click // in order of time
	// The flash crowd is there from FlashFrom to FlashTo; then it goes away by
	// and by.
	FlashFrom, FlashTo time.Duration
}

// bump is a time of day when many click at once.
type bump struct{ hour, height, width float64 }

// shape is the inflow over the hours of a day, as a multiple of the quiet rate.
type shape struct {
	bumps     []bump
	flashHour float64
}

const (
	flashRise  = 0.15 // hours
	flashStays = 3.2  // hours
	flashDecay = 0.5  // hours in which it falls to 1/e
)

// knots are the hours and heights between which the ordinary day is a line.
var knots = [][2]float64{{0, 1.2}, {1, 1}, {5.5, 1}, {8, 5}, {9.5, 6}, {12, 5.5}, {17, 6}, {19, 5}, {21, 4}, {24, 1.2}}

// newShape varies the day a little with the seed.
func newShape(r *base.Rand) shape {
	around := func(v, by float64) float64 { return v * (1 + by*(2*unit(r)-1)) }
	return shape{
		bumps: []bump{
			{around(8.7, 0.03), around(18, 0.2), 0.2},
			{around(12.5, 0.03), around(24, 0.2), 0.3},
			{around(20, 0.02), around(12, 0.2), 0.3},
		},
		flashHour: around(15, 0.02),
	}
}

// at is the inflow at an hour of the day.
func (s shape) at(hour float64) float64 {
	height := 1.0
	for i := 1; i < len(knots); i++ {
		if from, to := knots[i-1], knots[i]; hour >= from[0] && hour <= to[0] {
			height = from[1] + (to[1]-from[1])*(hour-from[0])/(to[0]-from[0])
		}
	}
	for _, b := range s.bumps {
		d := (hour - b.hour) / b.width
		height = max(height, b.height*math.Exp(-d*d/2))
	}
	switch since := hour - s.flashHour; {
	case since < 0:
	case since < flashRise:
		height = max(height, FlashFactor*since/flashRise)
	case since < flashRise+flashStays:
		height = FlashFactor
	default:
		height = max(height, FlashFactor*math.Exp(-(since-flashRise-flashStays)/flashDecay))
	}
	return height
}

// unit returns a number in [0, 1).
func unit(r *base.Rand) float64 { return float64(r.Uint64()>>11) / (1 << 53) }

// stepsPerHour is how finely the day's inflow is summed up.
const stepsPerHour = 60

// NewDay makes the day of a seed: as many clicks as an outflow of rate clicks
// per second takes away in length/Headroom, spread over posts posts. The same
// arguments give the same day.
func NewDay(seed uint64, length time.Duration, rate float64, posts int) *Day {
	base.Check(length > 0 && rate > 0 && posts > 0, "a day of %v at %v/s over %d posts", length, rate, posts)
	r := base.NewRand(seed)
	s := newShape(r)
	sum := make([]float64, 24*stepsPerHour+1) // of the inflow up to each minute
	for i := 1; i < len(sum); i++ {
		sum[i] = sum[i-1] + s.at((float64(i)-0.5)/stepsPerHour)
	}
	all := sum[len(sum)-1]
	total := max(1, int(math.Round(rate/Headroom*length.Seconds())))
	hour := func(h float64) time.Duration { return time.Duration(h / 24 * float64(length)) }
	d := &Day{
		Length: length, Posts: posts, Rate: rate,
		Quiet:     float64(total) / length.Seconds() * float64(len(sum)-1) / all,
		FlashFrom: hour(s.flashHour + flashRise), FlashTo: hour(s.flashHour + flashRise + flashStays),
		Clicks: make([]Click, 0, total),
	}
	viral := r.IntN(posts)
	for i, minute := 0, 0; i < total; i++ {
		want := (float64(i) + unit(r)) / float64(total) * all
		for sum[minute+1] < want && minute+2 < len(sum) {
			minute++
		}
		part := (want - sum[minute]) / (sum[minute+1] - sum[minute])
		at := hour((float64(minute) + part) / stepsPerHour)
		d.Clicks = append(d.Clicks, d.click(r, at, viral))
	}
	return d
}

// click chooses what is clicked on: some posts are liked more than others, and
// most of the flash crowd comes for one.
func (d *Day) click(r *base.Rand, at time.Duration, viral int) Click {
	u := unit(r)
	c := Click{At: at, Post: int(u * u * float64(d.Posts)), Weight: 1 + r.IntN(MaxWeight), Print: int64(r.Uint64() >> 24)}
	if at >= d.FlashFrom && at < d.FlashTo && unit(r) < viralShare {
		c.Post = viral
	}
	return c
}

// Made is the running sum of the clicks by their times, a point per step.
func (d *Day) Made() (c Curve) {
	next := 0
	for t := time.Duration(0); t < d.Length+step; t += step {
		for next < len(d.Clicks) && d.Clicks[next].At <= t {
			next++
		}
		c.Add(t, float64(next))
	}
	return c
}

// Hour is the time of day at a moment, as 15:04.
func (d *Day) Hour(at time.Duration) string { return hourOf(at, d.Length) }

func hourOf(at, length time.Duration) string {
	minutes := int(math.Round(float64(at) / float64(length) * 24 * 60))
	if minutes == 24*60 {
		return "24:00"
	}
	return time.Date(2000, 1, 1, 0, minutes, 0, 0, time.UTC).Format("15:04")
}
