package mesh

import (
	"container/heap"
	"hash/fnv"
	"math/rand/v2"
	"net/netip"
	"time"
)

// Line is what happens to packets from one place to another. The zero Line is a
// sound one that takes no time. Shares are of all packets, from 0 to 1, and
// each packet has its own luck.
type Line struct {
	Cut            bool          // nothing passes, nor does what is under way arrive
	Delay          time.Duration // from one end to the other
	Jitter         time.Duration // Delay is longer by up to that much, evenly spread; the order stays
	Loss           float64       // share that never arrives
	Duplicate      float64       // share that arrives twice
	Reorder        float64       // share that takes half the Delay and overtakes others
	BytesPerSecond int           // at most; 0 is no bound
	QueueBytes     int           // what may wait for that rate; what comes above it is lost; 0 is defaultQueueBytes
}

// defaultQueueBytes is the buffer of a small router: a fifth of a second of 10
// Mbit a second.
const defaultQueueBytes = 256 << 10

// Count counts packets.
type Count struct {
	Sent    int // given to the mesh
	Lost    int // by luck, by a cut, by a full queue
	Arrived int // given to the device, each copy for itself
}

// way is a line in use.
type way struct {
	line  Line
	luck  *rand.Rand
	free  time.Time // when the rate lets the next packet begin
	last  time.Time // when the last packet that kept the order arrives
	count Count
}

// newWay makes a way whose luck follows from the seed and its ends alone.
func newWay(seed uint64, from, to netip.Addr) *way {
	ends := fnv.New64a()
	a, b := from.As16(), to.As16()
	_, _ = ends.Write(a[:]) // never fails, says package hash
	_, _ = ends.Write(b[:])
	return &way{luck: rand.New(rand.NewPCG(seed, ends.Sum64()))}
}

// pass decides about one packet that is sent now: when it arrives, which is
// never, once or twice. It draws as often whatever the line is, so that the luck
// of a packet depends on its number and the seed alone.
func (w *way) pass(now time.Time, size int) (arrivals []time.Time) {
	loss, jitter, duplicate, reorder := w.luck.Float64(), w.luck.Float64(), w.luck.Float64(), w.luck.Float64()
	w.count.Sent++
	l := w.line
	leaves, room := w.leaves(now, size)
	if l.Cut || !room || loss < l.Loss {
		w.count.Lost++
		return nil
	}
	at := leaves.Add(l.Delay + time.Duration(jitter*float64(l.Jitter)))
	switch {
	case reorder < l.Reorder:
		at = leaves.Add(l.Delay / 2)
	case at.Before(w.last):
		at = w.last
		fallthrough
	default:
		w.last = at
	}
	arrivals = append(arrivals, at)
	if duplicate < l.Duplicate {
		arrivals = append(arrivals, at)
	}
	return arrivals
}

// leaves is when a packet has left, under the line's rate; false when too much
// waits already. What is cut off or lost has used the rate too.
func (w *way) leaves(now time.Time, size int) (time.Time, bool) {
	l := w.line
	if l.BytesPerSecond <= 0 {
		return now, true
	}
	limit := l.QueueBytes
	if limit == 0 {
		limit = defaultQueueBytes
	}
	if w.free.Before(now) {
		w.free = now
	}
	if waiting := w.free.Sub(now).Seconds() * float64(l.BytesPerSecond); waiting+float64(size) > float64(limit) {
		return now, false
	}
	w.free = w.free.Add(time.Duration(float64(size) / float64(l.BytesPerSecond) * float64(time.Second)))
	return w.free, true
}

// packet is under way to a place.
type packet struct {
	at     time.Time
	number int // in the order in which they were sent, which decides when they arrive together
	way    *way
	data   []byte
}

// packets is those under way to a place, the next one first: a heap.
type packets []packet

func (p *packets) add(one packet) { heap.Push(p, one) }

func (p *packets) take() packet { return heap.Pop(p).(packet) }

// Len, Less, Swap, Push and Pop implement heap.Interface.
func (p packets) Len() int { return len(p) }

func (p packets) Less(i, j int) bool {
	if !p[i].at.Equal(p[j].at) {
		return p[i].at.Before(p[j].at)
	}
	return p[i].number < p[j].number
}

func (p packets) Swap(i, j int) { p[i], p[j] = p[j], p[i] }

func (p *packets) Push(x any) { *p = append(*p, x.(packet)) }

func (p *packets) Pop() any {
	last := (*p)[len(*p)-1]
	(*p)[len(*p)-1] = packet{}
	*p = (*p)[:len(*p)-1]
	return last
}
