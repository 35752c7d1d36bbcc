package model

import (
	"errors"
	"reflect"
	"testing"
	"time"
)

// envelopes are examples of what carries bodies, and of the catalog.
func envelopes() []body {
	resource := Resource{ID: 300, Kind: KindPipe, Name: "likes", CreatedMs: 1700000000000, Version: 3, Deleting: true, Level: LevelAllIfUp, Spec: []byte("spec")}
	node := Node{ID: 1 << 63, PeerAddr: "[::1]:4590", JoinedMs: 1700000000001, Zone: "a", Start: 300, Draining: true, Leaving: true, ReadOnly: true}
	removed := RemovedNode{ID: 1 << 62, RemovedMs: 1700000000003}
	settings := ClusterSettings{ReplaceAfterMs: 60000, RegionName: "west", Commitment: Commitment{StartedMs: 7, EndMs: 9}, AsyncWindowMs: 300, AsyncWrites: 1 << 40}
	tablet := Tablet{ID: 4, Lo: 32768, Hi: 65536, Voters: []NodeID{1, 2, 1 << 60}, Learners: []NodeID{7}}
	token := JoinToken{Hash: [32]byte{0: 1, 31: 0xff}, ExpiresMs: 1700000000002}
	return []body{
		&Command{Kind: CmdPutItem, ID: RequestID{1, 15: 2}, Resource: 300, Slot: 65535, Stamp: 1 << 62, Body: []byte("body")},
		&Query{Kind: QueryScan, Resource: 1 << 40, Slot: 1, Body: []byte{0}},
		&Result{Status: StatusOverLimit, Body: []byte("why")},
		&resource, &node, &tablet, &token, &removed, &settings,
		&CatalogOp{Kind: OpSetTablet, Version: 9, Resource: resource, Node: node, Tablet: tablet, Token: token, Settings: settings, On: true},
	}
}

func TestEnvelopesRoundTrip(t *testing.T) {
	for _, want := range envelopes() {
		raw := want.Append([]byte("before"))[6:]
		got := reflect.New(reflect.TypeOf(want).Elem()).Interface().(body)
		d := NewDecoder(raw)
		got.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%T: %+v became %+v, %v", want, want, got, err)
		}
		for n := range raw {
			d := NewDecoder(raw[:n])
			reflect.New(reflect.TypeOf(want).Elem()).Interface().(body).Decode(d)
			if !errors.Is(d.Done(), ErrCorrupt) {
				t.Errorf("%T cut to %d of %d bytes was read", want, n, len(raw))
			}
		}
	}
}

// TestSlotsOutOfRange: a slot is below SlotCount; anything else is damage.
func TestSlotsOutOfRange(t *testing.T) {
	command := AppendBytes(AppendUvarint(AppendUvarint(AppendUvarint(append([]byte{16}, make([]byte, 16)...), 1), SlotCount), 1), nil)
	query := AppendBytes(AppendUvarint(AppendUvarint([]byte{16}, 1), SlotCount), nil)
	for _, c := range []struct {
		into body
		raw  []byte
	}{{&Command{}, command}, {&Query{}, query}} {
		d := NewDecoder(c.raw)
		c.into.Decode(d)
		if d.Done() == nil {
			t.Errorf("%T with slot 65536 was read: %+v", c.into, c.into)
		}
	}
}

// FuzzEnvelopes: no bytes may do harm, and what was read is written back so
// that it reads the same.
func FuzzEnvelopes(f *testing.F) {
	for i, e := range envelopes() {
		f.Add(uint8(i), e.Append(nil))
	}
	f.Fuzz(func(t *testing.T, which uint8, raw []byte) {
		all := envelopes()
		typ := reflect.TypeOf(all[int(which)%len(all)]).Elem()
		got := reflect.New(typ).Interface().(body)
		d := NewDecoder(raw)
		got.Decode(d)
		if d.Done() != nil {
			return
		}
		again := reflect.New(typ).Interface().(body)
		d = NewDecoder(got.Append(nil))
		again.Decode(d)
		if err := d.Done(); err != nil || !reflect.DeepEqual(got, again) {
			t.Fatalf("%T: %+v became %+v, %v", got, got, again, err)
		}
	})
}

func TestDecoder(t *testing.T) {
	d := NewDecoder([]byte{2})
	if d.Bool(); d.Err() == nil {
		t.Error("2 is a bool")
	}
	if d.Byte() != 0 || d.Uvarint() != 0 || d.Bytes() != nil || d.String() != "" || len(d.Fixed(3)) != 3 || !d.RequestID().IsZero() {
		t.Error("a failed decoder reads something")
	}
	d = NewDecoder([]byte{200, 1, 0})
	if d.Count() != 0 || d.Err() == nil {
		t.Error("200 elements fit into one byte")
	}
	d = NewDecoder([]byte{1, 2})
	if d.Byte(); d.Err() != nil || d.Len() != 1 || len(d.Rest()) != 1 || d.Done() == nil {
		t.Error("a byte is left over, and nobody says so")
	}
	d = NewDecoder([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02})
	if d.Uvarint(); d.Err() == nil {
		t.Error("a number of 65 bits was read")
	}
}

func TestStamp(t *testing.T) {
	at := time.UnixMilli(1700000000123).UTC()
	s := StampAt(at)
	if s.Millis() != 1700000000123 || !s.Time().Equal(at) {
		t.Errorf("%v is %d, %v", at, s.Millis(), s.Time())
	}
	for _, c := range []struct {
		name string
		now  time.Time
		want Stamp
	}{
		{"time has passed", at.Add(time.Millisecond), StampAt(at) + 1<<16},
		{"the same millisecond", at, s + 1},
		{"the clock went back", at.Add(-time.Hour), s + 1},
	} {
		if got := s.Next(c.now); got != c.want {
			t.Errorf("%s: %d, want %d", c.name, got, c.want)
		}
	}
	if full := s | 0xffff; full.Next(at) <= full || full.Next(at).Millis() != at.UnixMilli()+1 {
		t.Error("65,536 commands of a millisecond do not run over into the next")
	}
}

// TestSlotOf holds the function to values of the first version: it decides
// where every stored key is.
func TestSlotOf(t *testing.T) {
	for key, want := range map[string]Slot{"": slotOfNothing, "a": slotOfA, "user#1": slotOfUser} {
		if got := SlotOf([]byte(key)); got != want {
			t.Errorf("SlotOf(%q) = %d, want %d", key, got, want)
		}
	}
	// Short keys in a row spread over all the slots.
	var count [16]int
	for i := range 16000 {
		count[SlotOf([]byte{byte(i >> 8), byte(i)})>>12]++
	}
	for part, n := range count {
		if n < 800 || n > 1200 {
			t.Errorf("%d of 16000 keys in part %d of 16", n, part)
		}
	}
}

const (
	slotOfNothing = 64957
	slotOfA       = 12023
	slotOfUser    = 57492
)

func TestIDs(t *testing.T) {
	if got := NodeID(0xab).String(); got != "n00000000000000ab" {
		t.Errorf("node %s", got)
	}
	if got := TabletID(7).String(); got != "t7" {
		t.Errorf("tablet %s", got)
	}
	if got := (RequestID{0xab}).String(); got != "ab000000000000000000000000000000" {
		t.Errorf("request id %s", got)
	}
}
