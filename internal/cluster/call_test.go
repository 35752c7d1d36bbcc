package cluster

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/tablet"
)

func calls() []call {
	command := model.Command{Kind: model.CmdSend, ID: model.RequestID{1}, Resource: 300, Slot: 65535, Body: []byte("body")}
	return []call{
		{kind: callPropose, tablet: 7, command: command, level: model.LevelAll, regions: 3},
		{kind: callWhenReady, tablet: 1 << 40, command: command, wait: 20 * time.Second, number: 5},
		{kind: callRead, tablet: 1, strong: true, query: model.Query{Kind: model.QueryGetItem, Resource: 9, Slot: 3, Body: []byte("key")}},
		{kind: callReadIndex, tablet: 0},
		{kind: callStatus},
		{kind: callAwait, tablet: 1, command: command, wait: time.Nanosecond, number: 300},
		{kind: callAwaitRead, tablet: 1, query: model.Query{Kind: model.QueryGetItem, Resource: 9, Slot: 3, Body: []byte("key")}, wait: 2 * time.Nanosecond, number: 6},
		{kind: callLeave, tablet: 1, number: 300},
		{kind: callTell, query: model.Query{Body: []byte("news")}},
	}
}

func TestCallsRoundTrip(t *testing.T) {
	for _, want := range calls() {
		raw := want.encode()
		got, err := decodeCall(raw)
		if err != nil || !reflect.DeepEqual(*got, want) {
			t.Errorf("%+v became %+v, %v", want, got, err)
		}
		for n := range raw {
			if _, err := decodeCall(raw[:n]); err == nil {
				t.Errorf("a call of kind %d cut to %d of %d bytes was read", want.kind, n, len(raw))
			}
		}
		if _, err := decodeCall(append(raw, 0)); err == nil {
			t.Errorf("a call of kind %d with a byte too many was read", want.kind)
		}
	}
	for _, raw := range [][]byte{{0, 0}, {10, 0}, {255, 0}} {
		if _, err := decodeCall(raw); err == nil {
			t.Errorf("a call of kind %d was read", raw[0])
		}
	}
}

// TestCallGoldenBytes holds calls to docs/format/call.md: nodes of two versions
// speak to each other while a cluster is upgraded.
func TestCallGoldenBytes(t *testing.T) {
	zeroID := strings.Repeat("00", 15)
	ok := answer{result: model.Result{Status: model.StatusExists, Body: []byte("ab")}, index: 300, ready: true, level: model.LevelAll, short: true, abroad: abroadAnswer{true, 2, 1}}
	full := answer{err: errDiskFull}
	notLeader := answer{err: tablet.ErrNotLeader, leader: 300}
	failed := answer{err: errors.New("no")}
	refused := answer{err: &refusal{model.Errorf(model.ErrUnavailable, "no"), true}}
	for name, c := range map[string]struct {
		got  []byte
		want string
	}{
		"propose":            {(&calls()[0]).encode(), "01 07 02 03 20 01" + zeroID + " ac02 ffff03 00 04 626f6479"},
		"propose when ready": {(&calls()[1]).encode(), "02 808080808020 05 8090dfc04a 00 00 20 01" + zeroID + " ac02 ffff03 00 04 626f6479"},
		"read":               {(&calls()[2]).encode(), "03 01 01 10 09 03 03 6b6579"},
		"read index":         {(&calls()[3]).encode(), "04 00"},
		"status":             {(&calls()[4]).encode(), "05 00"},
		"await":              {(&calls()[5]).encode(), "06 01 ac02 01 20 01" + zeroID + " ac02 ffff03 00 04 626f6479"},
		"read when ready":    {(&calls()[6]).encode(), "07 01 06 02 10 09 03 03 6b6579"},
		"leave":              {(&calls()[7]).encode(), "08 01 ac02"},
		"tell":               {(&calls()[8]).encode(), "09 00 04 6e657773"},
		"done":               {ok.encode(), "00 ac02 01 02 01 01 02 01 05 02 6162"},
		"not the leader":     {notLeader.encode(), "01 ac02"},
		"disk full":          {full.encode(), "05"},
		"refused":            {refused.encode(), "06 01 02 02 6e6f"},
		"failed":             {failed.encode(), "04 02 6e6f"},
	} {
		want, err := hex.DecodeString(strings.ReplaceAll(c.want, " ", ""))
		if err != nil || !bytes.Equal(c.got, want) {
			t.Errorf("%s:\n got %x\nwant %x, %v", name, c.got, want, err)
		}
	}
}

func TestAnswersRoundTrip(t *testing.T) {
	done := answer{result: model.Result{Status: model.StatusGone, Body: []byte("why")}, index: 9, ready: true}
	if got := decodeAnswer(done.encode()); !reflect.DeepEqual(got, done) {
		t.Errorf("%+v became %+v", done, got)
	}
	for _, err := range []error{tablet.ErrNotLeader, tablet.ErrBusy, tablet.ErrUnknown, errDiskFull} {
		a := answer{err: err, index: 5}
		if got := decodeAnswer(a.encode()); !errors.Is(got.err, err) || got.index != 0 {
			t.Errorf("%v became %+v", err, got)
		}
	}
	other := answer{err: errors.New("a disk fell down")}
	if got := decodeAnswer(other.encode()); got.err == nil || got.err.Error() != "a disk fell down" {
		t.Errorf("an error became %+v", got)
	}
	for _, raw := range [][]byte{nil, {99}, {0}, {0, 1}, {0, 1, 2, 0, 0}, {1, 0}, {4}, {4, 200}} {
		if got := decodeAnswer(raw); got.err == nil {
			t.Errorf("the answer %x was read: %+v", raw, got)
		}
	}
}

func FuzzCalls(f *testing.F) {
	for _, c := range calls() {
		f.Add(c.encode())
	}
	f.Add([]byte{0, 1, 1, 0, 2, 'a', 'b'})
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := decodeCall(raw); err == nil {
			again, err := decodeCall(c.encode())
			if err != nil || !reflect.DeepEqual(c, again) {
				t.Fatalf("%+v became %+v, %v", c, again, err)
			}
		}
		if a := decodeAnswer(raw); a.err == nil {
			if again := decodeAnswer(a.encode()); !reflect.DeepEqual(a, again) {
				t.Fatalf("%+v became %+v", a, again)
			}
		}
		if nodes, err := DecodeMembers(raw); err == nil {
			again, err := DecodeMembers(encodeMembers(nodes))
			if err != nil || !reflect.DeepEqual(nodes, again) {
				t.Fatalf("%+v became %+v, %v", nodes, again, err)
			}
		}
	})
}
