package demo

import (
	"fmt"
	"math"
	"sort"
	"time"
)

// Tally sums up the clicks on one post.
type Tally struct {
	Clicks int64 `json:"clicks"`
	Score  int64 `json:"score"`  // sum of weights
	Prints int64 `json:"prints"` // sum of prints, below 2^63 for 2^23 clicks
}

// Add counts a click.
func (t *Tally) Add(c Click) { t.Merge(Tally{1, int64(c.Weight), c.Print}) }

// Merge counts all of another tally's clicks.
func (t *Tally) Merge(o Tally) { t.Clicks += o.Clicks; t.Score += o.Score; t.Prints += o.Prints }

// Sum is the tally of all posts.
func Sum(posts []Tally) (all Tally) {
	for _, t := range posts {
		all.Merge(t)
	}
	return all
}

// Proof compares what was acknowledged with what was applied.
type Proof struct {
	Sent    Tally `json:"sent"`    // acknowledged by the queue
	Applied Tally `json:"applied"` // read back from the table
	// Lost and Twice are the clicks that are missing from posts and those that
	// are too many. A post with as many lost as doubled clicks shows neither, but
	// its sums differ all the same.
	Lost  int64 `json:"lost"`
	Twice int64 `json:"twice"`
	Wrong int   `json:"posts_wrong"` // posts of which a sum differs
}

// Compare holds the tallies of both sides, one for each post, against each
// other. Sums of prints are the same for different clicks only by a chance of
// about one in 2^40.
func Compare(sent, applied []Tally) Proof {
	p := Proof{Sent: Sum(sent), Applied: Sum(applied)}
	for i, s := range sent {
		a := applied[i]
		p.Lost += max(0, s.Clicks-a.Clicks)
		p.Twice += max(0, a.Clicks-s.Clicks)
		if s != a {
			p.Wrong++
		}
	}
	return p
}

// Holds tells whether each click counted exactly once.
func (p Proof) Holds() bool { return p.Wrong == 0 }

// String says the proof in one line.
func (p Proof) String() string {
	text := fmt.Sprintf("%s sent, %s applied, %s lost, %s twice", Grouped(p.Sent.Clicks), Grouped(p.Applied.Clicks), Grouped(p.Lost), Grouped(p.Twice))
	if !p.Holds() {
		text += fmt.Sprintf("; THE SUMS OF %d POSTS DIFFER", p.Wrong)
	}
	return text
}

// Pause is a time without an acknowledged write.
type Pause struct{ From, To time.Duration }

// Length is how long it was.
func (p Pause) Length() time.Duration { return p.To - p.From }

// LongestPause finds the longest time between two acknowledgements that
// touches the time from from to to. acks need no order.
func LongestPause(acks []time.Duration, from, to time.Duration) (longest Pause) {
	acks = append([]time.Duration(nil), acks...)
	sort.Slice(acks, func(i, j int) bool { return acks[i] < acks[j] })
	for i := 1; i < len(acks); i++ {
		p := Pause{acks[i-1], acks[i]}
		if p.To >= from && p.From <= to && p.Length() > longest.Length() {
			longest = p
		}
	}
	return longest
}

// Window is the time over which the outflow is held against the set rate.
const Window = 10 * time.Second

// Deviation is the outflow's worst deviation from the set rate over windows in
// which there was a backlog all the time.
type Deviation struct {
	Windows int     `json:"windows"` // how many there were, a quarter of a second apart
	Worst   float64 `json:"worst"`   // -0.02 is two in a hundred below the rate
}

// Deviations measures the outflow over every Window in which the backlog never
// fell below half a second's flow: calm ones, and those that touch the time
// from kill to back, in which a leader was missing. Without a kill, pass zeros.
func Deviations(sent, applied Curve, rate float64, kill, back time.Duration) (calm, across Deviation) {
	const step = 250 * time.Millisecond
	held := time.Duration(0) // how long there has been a backlog, up to t
	for t := step; t <= applied.End(); t += step {
		if sent.At(t)-applied.At(t) < rate/2 {
			held = 0
			continue
		}
		if held += step; held < Window+step {
			continue
		}
		d := (applied.At(t)-applied.At(t-Window))/Window.Seconds()/rate - 1
		of := &calm
		if kill > 0 && t >= kill && t-Window <= back {
			of = &across
		}
		if of.Windows++; math.Abs(d) > math.Abs(of.Worst) {
			of.Worst = d
		}
	}
	return calm, across
}
