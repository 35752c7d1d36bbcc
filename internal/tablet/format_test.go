package tablet

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"weir.dev/weir/internal/model"
)

// goldenCommand is the command whose bytes docs/format/command.md describes.
func goldenCommand() model.Command {
	return model.Command{
		Kind: model.CmdPutItem, ID: model.RequestID{0: 0xa0, 15: 0xaf}, Resource: 300, Slot: 65535,
		Stamp: 1000<<16 + 2, Body: []byte("body"),
	}
}

func goldenApplied() Applied {
	return Applied{
		Index: 300, Term: 5, Ordinal: 2, Stamp: 1000<<16 + 2, Lo: 32768, Hi: 65536,
		Conf: Members{
			Voters: []model.NodeID{1, 300}, Learners: []model.NodeID{4}, Outgoing: []model.NodeID{1, 2},
			LearnersNext: []model.NodeID{2}, AutoLeave: true,
		},
	}
}

// unspaced reads hex digits in groups.
func unspaced(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const (
	goldenCommandHex = "10 a00000000000000000000000000000af ac02 ffff03 8280a01f 04 626f6479"
	goldenEntryHex   = "01 0807060504030201 ac02 00 " + goldenCommandHex + " 01 00000000000000000000000000000000 07 00 00 00"
	goldenEarlyHex   = "01 0807060504030201 ac02 01 ac02 " + goldenCommandHex
	goldenAppliedHex = "01 ac02 05 02 8280a01f 02 01 ac02 01 04 02 01 02 01 02 01 808002 808004"
	goldenResultHex  = "02 03 616263"
)

// TestGoldenBytes holds the stored forms to docs/format/command.md: what one
// version has written, every later one must read.
func TestGoldenBytes(t *testing.T) {
	cmd, applied := goldenCommand(), goldenApplied()
	drop := model.Command{Kind: model.CmdDropResource, Resource: 7}
	res := model.Result{Status: model.StatusConditionFailed, Body: []byte("abc")}
	for _, g := range []struct {
		name string
		got  []byte
		want string
	}{
		{"command", cmd.Append(nil), goldenCommandHex},
		{"entry", drop.Append(cmd.Append(appendBatchHeader(nil, Batch{Nonce: 0x0102030405060708, Number: 300}))), goldenEntryHex},
		{"entry answered early", cmd.Append(appendBatchHeader(nil, Batch{Nonce: 0x0102030405060708, Number: 300, Early: 1, Node: 300})), goldenEarlyHex},
		{"applied record", applied.Append(nil), goldenAppliedHex},
		{"result", res.Append(nil), goldenResultHex},
	} {
		if want := unspaced(t, g.want); !bytes.Equal(g.got, want) {
			t.Errorf("%s:\n got %x\nwant %x", g.name, g.got, want)
		}
	}
}

func TestDecodeGoldenBytes(t *testing.T) {
	b, err := DecodeBatch(unspaced(t, goldenEntryHex))
	if err != nil {
		t.Fatal(err)
	}
	if b.Nonce != 0x0102030405060708 || b.Number != 300 {
		t.Errorf("nonce %x, number %d", b.Nonce, b.Number)
	}
	var first, second, none model.Command
	if !b.Next(&first) || !b.More() || !b.Next(&second) || b.More() || b.Next(&none) || b.Err() != nil {
		t.Fatalf("the entry does not hold two commands: %v", b.Err())
	}
	if want := goldenCommand(); !reflect.DeepEqual(first, want) {
		t.Errorf("first command %+v, want %+v", first, want)
	}
	if second.Kind != model.CmdDropResource || second.Resource != 7 || !second.ID.IsZero() {
		t.Errorf("second command %+v", second)
	}
	var a Applied
	if err := a.Decode(unspaced(t, goldenAppliedHex)); err != nil {
		t.Fatal(err)
	}
	if want := goldenApplied(); !reflect.DeepEqual(a, want) {
		t.Errorf("applied %+v, want %+v", a, want)
	}
}

// TestMalformed cuts each stored form at every length and changes its version.
func TestMalformed(t *testing.T) {
	readEntry := func(b []byte) error {
		batch, err := DecodeBatch(b)
		if err != nil {
			return err
		}
		var c model.Command
		for batch.Next(&c) {
		}
		return batch.Err()
	}
	readApplied := func(b []byte) error { return new(Applied).Decode(b) }
	headerBytes := 12             // an entry may end after its header
	whole := 12 + 16 + 1 + 2 + 13 // and after its first command
	for _, f := range []struct {
		name string
		hex  string
		read func([]byte) error
		ends []int // lengths at which it may end
	}{
		{"entry", goldenEntryHex, readEntry, []int{headerBytes, whole - 1}},
		{"entry answered early", goldenEarlyHex, readEntry, []int{headerBytes + 2}},
		{"applied record", goldenAppliedHex, readApplied, nil},
	} {
		good := unspaced(t, f.hex)
		ends := map[int]bool{}
		for _, n := range f.ends {
			ends[n] = true
		}
		for n := range good {
			if err := f.read(good[:n]); !ends[n] && !errors.Is(err, model.ErrCorrupt) {
				t.Errorf("%s of %d bytes: %v", f.name, n, err)
			}
		}
		newer := bytes.Clone(good)
		newer[0] = 2
		if err := f.read(newer); !errors.Is(err, model.ErrCorrupt) {
			t.Errorf("%s of version 2: %v", f.name, err)
		}
	}
	if err := readApplied(append(unspaced(t, goldenAppliedHex), 0)); !errors.Is(err, model.ErrCorrupt) {
		t.Errorf("an applied record with a byte too many: %v", err)
	}
}

// FuzzDecodeBatch: no bytes may do harm, and what is read in whole is written
// back as it was, but for numbers in more bytes than they need.
func FuzzDecodeBatch(f *testing.F) {
	f.Add(unspaced(f, goldenEntryHex))
	f.Add(unspaced(f, goldenEarlyHex))
	f.Add(unspaced(f, "01 0807060504030201 ac02 00"))
	f.Add(unspaced(f, "01 0807060504030201 01 00 10 ff"))
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := DecodeBatch(data)
		if err != nil {
			return
		}
		again := appendBatchHeader(nil, *b)
		var commands []model.Command
		var c model.Command
		for b.Next(&c) {
			commands = append(commands, c)
			again = c.Append(again)
		}
		if b.Err() != nil {
			return
		}
		b, err = DecodeBatch(again)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; b.Next(&c); i++ {
			if !reflect.DeepEqual(c, commands[i]) {
				t.Fatalf("command %d: %+v became %+v", i, commands[i], c)
			}
		}
		if len(again) > len(data) {
			t.Fatalf("%d bytes became %d", len(data), len(again))
		}
	})
}

func FuzzAppliedDecode(f *testing.F) {
	f.Add(unspaced(f, goldenAppliedHex))
	f.Add([]byte{1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		var a, b Applied
		if a.Decode(data) != nil {
			return
		}
		if err := b.Decode(a.Append(nil)); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("%+v became %+v", a, b)
		}
	})
}
