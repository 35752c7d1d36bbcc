package sim

import (
	"time"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// nemesis does one bad thing after the other until stop: crashes of one node
// or all, partitions one way or both, slow disks, clocks that jump, and nodes
// that join and leave meanwhile.
func (w *world) nemesis(stop <-chan struct{}, r *Report) error {
	for !closed(stop) {
		time.Sleep(time.Duration(400+w.rng.IntN(2500))*time.Millisecond + time.Duration(w.rng.IntN(1000)))
		if closed(stop) {
			break
		}
		var err error
		switch w.rng.IntN(8) {
		case 0:
			err = w.crashSome(r, []*machineRoom{w.anyRoom()})
		case 1:
			err = w.crashSome(r, w.nodes)
		case 2, 3:
			w.partition(r)
		case 4:
			w.slowDisk(r)
		case 5:
			w.jumpClock(r)
		case 6:
			err = w.addNode(r)
		case 7:
			w.removeNode(r)
		}
		if err == nil {
			err = w.buryRemoved()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *world) anyRoom() *machineRoom { return w.nodes[w.rng.IntN(len(w.nodes))] }

// crashSome crashes rooms together and boots them again one by one.
func (w *world) crashSome(r *Report, rooms []*machineRoom) error {
	for _, room := range rooms {
		r.Crashes++
		if err := w.crash(room, []int{0, 0, 30, 100}[w.rng.IntN(4)]); err != nil {
			return err
		}
	}
	time.Sleep(time.Duration(w.rng.IntN(1500))*time.Millisecond + time.Duration(w.rng.IntN(1000)))
	for _, room := range rooms {
		if err := w.boot(room); err != nil {
			return err
		}
		time.Sleep(time.Duration(w.rng.IntN(50_000_000)))
	}
	return nil
}

// leaderRoom is mostly the room of the node that leads a key of the kv load:
// to cut a leader off is what shows who still believes in it.
func (w *world) leaderRoom() *machineRoom {
	slot := model.SlotOf(keys.AppendValue(nil, text(kvKey(w.rng.IntN(kvKeys)))))
	for _, live := range w.up() {
		if live.node.Leads(slot) && w.rng.IntN(4) > 0 {
			return live.room
		}
	}
	return w.anyRoom()
}

// partition cuts one node off, both ways or one way, for up to six seconds.
func (w *world) partition(r *Report) {
	r.Partitions++
	lonely, way := w.leaderRoom().id, w.rng.IntN(3)
	for _, room := range w.nodes {
		if room.id == lonely {
			continue
		}
		if way != 1 {
			w.net.setCut(lonely, room.id, true)
		}
		if way != 2 {
			w.net.setCut(room.id, lonely, true)
		}
	}
	time.Sleep(time.Duration(500+w.rng.IntN(5500))*time.Millisecond + time.Duration(w.rng.IntN(1000)))
	w.net.heal()
}

// slowDisk makes a node's journal wait up to half a second for each write.
func (w *world) slowDisk(r *Report) {
	r.SlowDisks++
	room := w.anyRoom()
	w.setSlow(room, time.Duration(1+w.rng.IntN(500))*time.Millisecond)
	time.Sleep(time.Duration(500+w.rng.IntN(3000))*time.Millisecond + time.Duration(w.rng.IntN(1000)))
	w.setSlow(room, 0)
}

func (w *world) setSlow(room *machineRoom, d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	room.slow = d
}

// maxSkew is how far a node's clock may be off, either way.
const maxSkew = 1500 * time.Millisecond

// jumpClock sets a node's clock off from its next start on.
func (w *world) jumpClock(r *Report) {
	r.ClockJumps++
	w.anyRoom().skew = w.epoch + time.Duration(w.rng.Int64N(int64(2*maxSkew))) - maxSkew
}
