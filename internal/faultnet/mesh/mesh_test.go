package mesh

import (
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var a, b, c = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2"), netip.MustParseAddr("10.0.0.3")

// device is a place's end of the mesh inside a test.
type device struct {
	out   chan []byte // what the place sends
	done  chan struct{}
	once  sync.Once
	begun time.Time

	mu   sync.Mutex // guards what follows
	came []arrival
}

type arrival struct {
	number int
	after  time.Duration // since the device began
}

func (d *device) Read(buf []byte) (int, error) {
	select {
	case data := <-d.out:
		return copy(buf, data), nil
	case <-d.done:
		return 0, io.EOF
	}
}

func (d *device) Write(data []byte) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.came = append(d.came, arrival{int(binary.BigEndian.Uint32(data[20:])), time.Since(d.begun)})
	return len(data), nil
}

func (d *device) Close() error {
	d.once.Do(func() { close(d.done) })
	return nil
}

// send sends numbered packets of so many bytes to an address.
func (d *device) send(to netip.Addr, size int, numbers ...int) {
	for _, n := range numbers {
		data := make([]byte, size)
		data[0] = 4<<4 | 5
		copy(data[16:], to.AsSlice())
		binary.BigEndian.PutUint32(data[20:], uint32(n))
		d.out <- data
	}
	synctest.Wait() // the mesh has them, so they were sent at this moment
}

func (d *device) arrived() []arrival {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.came)
}

func (d *device) numbers() (list []int) {
	for _, came := range d.arrived() {
		list = append(list, came.number)
	}
	return list
}

// start makes a mesh with three places.
func start(t *testing.T, seed uint64) (m *Mesh, atA, atB, atC *device) {
	t.Helper()
	m = New(seed)
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	var all []*device
	for _, addr := range []netip.Addr{a, b, c} {
		d := &device{out: make(chan []byte), done: make(chan struct{}), begun: time.Now()}
		if err := m.Attach(addr, d); err != nil {
			t.Fatal(err)
		}
		all = append(all, d)
	}
	return m, all[0], all[1], all[2]
}

// count is the numbers from 0 up to n.
func count(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

func TestDelayIsOfOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, atC := start(t, 1)
		m.Set(a, b, Line{Delay: 40 * time.Millisecond})
		atA.send(b, 100, 1)
		atB.send(a, 100, 2)
		atA.send(c, 100, 3)
		time.Sleep(time.Second)
		want := func(d *device, number int, after time.Duration) {
			if got := d.arrived(); len(got) != 1 || got[0] != (arrival{number, after}) {
				t.Errorf("arrived: %v, want packet %d after %v", got, number, after)
			}
		}
		want(atB, 1, 40*time.Millisecond)
		want(atA, 2, 0)
		want(atC, 3, 0)
		if got := m.Count(a, b); got != (Count{Sent: 1, Arrived: 1}) {
			t.Errorf("counted %+v", got)
		}
	})
}

func TestJitterKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, _ := start(t, 2)
		m.Set(a, b, Line{Delay: 40 * time.Millisecond, Jitter: 10 * time.Millisecond})
		sent := count(200)
		for _, n := range sent {
			atA.send(b, 100, n)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if got := atB.numbers(); !slices.Equal(got, sent) {
			t.Errorf("arrived in the order %v", got)
		}
		spread := map[time.Duration]bool{}
		for i, came := range atB.arrived() {
			took := came.after - time.Duration(i)*time.Millisecond
			if took < 40*time.Millisecond || took > 50*time.Millisecond {
				t.Errorf("packet %d took %v, want 40 to 50 ms", i, took)
			}
			spread[took.Round(time.Millisecond)] = true
		}
		if len(spread) < 5 {
			t.Errorf("all took about the same: %v", spread)
		}
	})
}

// losses is which of 10,000 packets are lost.
func losses(t *testing.T, seed uint64, line Line) (lost []int) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, _ := start(t, seed)
		m.Set(a, b, line)
		const packets = 10_000
		atA.send(b, 100, count(packets)...)
		time.Sleep(time.Second)
		came := atB.numbers()
		slices.Sort(came)
		for n := range packets {
			if _, ok := slices.BinarySearch(came, n); !ok {
				lost = append(lost, n)
			}
		}
		if got := m.Count(a, b); got.Sent != packets || got.Lost != len(lost) || got.Arrived != len(came) {
			t.Errorf("counted %+v; %d arrived", got, len(came))
		}
	})
	return lost
}

func TestLossFollowsFromTheSeed(t *testing.T) {
	first := losses(t, 7, Line{Loss: 0.1})
	if n := len(first); n < 850 || n > 1150 {
		t.Errorf("%d of 10,000 packets were lost, want about 1,000", n)
	}
	if again := losses(t, 7, Line{Loss: 0.1}); !slices.Equal(first, again) {
		t.Error("the same seed lost others")
	}
	if slow := losses(t, 7, Line{Loss: 0.1, Delay: time.Millisecond, Jitter: time.Millisecond, Reorder: 0.5}); !slices.Equal(first, slow) {
		t.Error("the same seed lost others on a line with a delay")
	}
	if other := losses(t, 8, Line{Loss: 0.1}); slices.Equal(first, other) {
		t.Error("another seed lost the same ones")
	}
	if sound := losses(t, 7, Line{}); len(sound) > 0 {
		t.Errorf("a sound line lost %d", len(sound))
	}
}

func TestDuplicateAndReorder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, atC := start(t, 3)
		m.Set(a, b, Line{Duplicate: 0.5})
		m.Set(a, c, Line{Delay: 10 * time.Millisecond, Reorder: 0.2})
		sent := count(200)
		atA.send(b, 100, sent...)
		for _, n := range sent {
			atA.send(c, 100, n)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		twice := atB.numbers()
		if n := len(twice); n < 250 || n > 350 || !slices.Equal(slices.Compact(twice), sent) {
			t.Errorf("of 200 packets %d arrived, want each once or twice, 300 in all", n)
		}
		mixed := atC.numbers()
		if slices.IsSorted(mixed) {
			t.Error("no packet overtook another")
		}
		slices.Sort(mixed)
		if !slices.Equal(mixed, sent) {
			t.Errorf("not all arrived once: %v", mixed)
		}
	})
}

func TestRateHoldsBackAndDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, _ := start(t, 4)
		m.Set(a, b, Line{BytesPerSecond: 100_000, QueueBytes: 50_000})
		atA.send(b, 1000, count(80)...) // 80,000 bytes at once: 50,000 find room
		time.Sleep(time.Minute)
		came := atB.arrived()
		if len(came) != 50 || came[49] != (arrival{49, 500 * time.Millisecond}) {
			t.Fatalf("%d arrived, the last %v, want 50 within half a second", len(came), came[len(came)-1])
		}
		atA.send(b, 1000, 99) // the line rests no longer than it is busy
		time.Sleep(time.Second)
		if last := atB.arrived()[50]; last != (arrival{99, time.Minute + 10*time.Millisecond}) {
			t.Errorf("the next one arrived as %v", last)
		}
		if got := m.Count(a, b); got.Lost != 30 {
			t.Errorf("%d were lost, want 30", got.Lost)
		}
	})
}

func TestCutIsOfOneWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, _ := start(t, 5)
		delay := Line{Delay: 20 * time.Millisecond}
		m.Set(a, b, delay)
		m.Set(b, a, delay)
		atA.send(b, 100, 1) // under way when the line is cut
		time.Sleep(10 * time.Millisecond)
		m.Set(a, b, Line{Cut: true})
		atA.send(b, 100, 2)
		atB.send(a, 100, 3)
		time.Sleep(time.Second)
		m.Set(a, b, delay)
		atA.send(b, 100, 4)
		time.Sleep(time.Second)
		if there, back := atB.numbers(), atA.numbers(); !slices.Equal(there, []int{4}) || !slices.Equal(back, []int{3}) {
			t.Errorf("%v arrived there and %v back, want 4 and 3", there, back)
		}
		if got := m.Count(a, b); got != (Count{Sent: 3, Lost: 2, Arrived: 1}) {
			t.Errorf("counted %+v", got)
		}
	})
}

func TestStrangersAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, atA, atB, atC := start(t, 6)
		if err := m.Attach(a, &device{done: make(chan struct{})}); err == nil {
			t.Error("an address has two places")
		}
		atA.send(netip.MustParseAddr("10.9.9.9"), 100, 1)
		for _, data := range [][]byte{nil, {0x45}, make([]byte, 100), append([]byte{6 << 4}, make([]byte, 60)...)} {
			atA.out <- data
		}
		atA.send(b, 100, 2)
		time.Sleep(time.Second)
		if there, beside := atB.numbers(), atC.numbers(); !slices.Equal(there, []int{2}) || len(beside) > 0 {
			t.Errorf("%v and %v arrived", there, beside)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if err := m.Attach(netip.MustParseAddr("10.0.0.4"), &device{done: make(chan struct{})}); err == nil {
			t.Error("a closed mesh takes devices")
		}
	})
}

func FuzzDestination(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{0x45})
	f.Add([]byte{0x60, 19: 0})
	f.Add([]byte{0x45, 16: 10, 19: 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		to, ok := destination(data)
		if ok != (len(data) >= 20 && data[0]>>4 == 4) || ok && !slices.Equal(to.AsSlice(), data[16:20]) {
			t.Errorf("%x goes to %v, %t", data, to, ok)
		}
	})
}
