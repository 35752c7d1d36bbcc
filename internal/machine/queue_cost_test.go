package machine

import (
	"fmt"
	"testing"

	"weir.dev/weir/internal/model"
)

// countedOps counts what a command asks of the storage.
type countedOps struct {
	Reader
	Writer
	gets, scans, sets, deletes int
}

func (c *countedOps) Get(key []byte) ([]byte, bool, error) {
	c.gets++
	return c.Reader.Get(key)
}

func (c *countedOps) Scan(lo, hi []byte, reverse bool) (Iterator, error) {
	c.scans++
	return c.Reader.Scan(lo, hi, reverse)
}

func (c *countedOps) Set(key, value []byte) {
	c.sets++
	c.Writer.Set(key, value)
}

func (c *countedOps) SetNew(key, value []byte) {
	c.sets++
	c.Writer.SetNew(key, value)
}

func (c *countedOps) Delete(key []byte) {
	c.deletes++
	c.Writer.Delete(key)
}

// cost applies a command and says what it asked of the storage.
func (r *queueRig) cost(kind model.CommandKind, body []byte) (model.Result, string) {
	r.t.Helper()
	cmd := &model.Command{Kind: kind, Resource: 5, Slot: model.QueueSlot(5), Body: body, Stamp: r.now()}
	r.index++
	r.stamp = cmd.Stamp
	var b memBatch
	c := &countedOps{Reader: r.view, Writer: &b}
	out, err := r.machine.Apply(c, c, Position{Index: r.index}, cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	b.commit(r.view)
	res, err := out.Expand(r.view, cmd)
	if err != nil {
		r.t.Fatal(err)
	}
	return res, fmt.Sprintf("%d gets %d scans %d sets %d deletes", c.gets, c.scans, c.sets, c.deletes)
}

// TestQueueCost holds the costs of the commonest commands: messages sent,
// received and deleted, from a queue that holds others.
func TestQueueCost(t *testing.T) {
	for _, c := range []struct {
		name                  string
		settings              model.QueueSettings
		group                 string
		n                     int // messages in one command
		send, receive, delete string
	}{
		{"plain", model.QueueSettings{RetentionMs: 60_000, MaxReceives: 3}, "", 1,
			"0 gets 0 scans 2 sets 0 deletes", "0 gets 1 scans 3 sets 0 deletes", "1 gets 0 scans 1 sets 3 deletes"},
		{"plain, ten at once", model.QueueSettings{RetentionMs: 60_000, MaxReceives: 3}, "", 10,
			"0 gets 0 scans 2 sets 0 deletes", "0 gets 1 scans 3 sets 0 deletes", "1 gets 0 scans 1 sets 3 deletes"},
		{"fair", model.QueueSettings{RetentionMs: 60_000, MaxReceives: 3}, "g", 1,
			"1 gets 0 scans 4 sets 0 deletes", "1 gets 1 scans 4 sets 1 deletes", "2 gets 0 scans 1 sets 4 deletes"},
		{"fifo", model.QueueSettings{RetentionMs: 60_000, MaxReceives: 3, Fifo: true}, "g", 1,
			"3 gets 0 scans 5 sets 0 deletes", "1 gets 1 scans 4 sets 1 deletes", "2 gets 0 scans 1 sets 4 deletes"},
		{"fifo, ten groups at once", model.QueueSettings{RetentionMs: 60_000, MaxReceives: 3, Fifo: true}, "g", 10,
			"30 gets 0 scans 32 sets 0 deletes", "11 gets 1 scans 13 sets 10 deletes", "12 gets 0 scans 1 sets 13 deletes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newQueueRig(t)
			r.settings = c.settings
			message := func(i int) []byte {
				send := model.Send{Settings: c.settings}
				for k := range c.n {
					e := r.entry("x", 0)
					if e.Message.Group = c.group; c.group != "" {
						e.Message.Group = fmt.Sprint(c.group, i, k)
					}
					if c.settings.Fifo {
						e.Message.Dedup = fmt.Sprint(i, k)
					}
					send.Entries = append(send.Entries, e)
				}
				return send.Append(nil)
			}
			for i := range 20 {
				r.do(model.CmdSend, 5, message(i))
			}
			if _, got := r.cost(model.CmdSend, message(20)); got != c.send {
				t.Errorf("a send costs %s, want %s", got, c.send)
			}
			res, got := r.cost(model.CmdReceive, r.receiveCommand(5, uint32(c.n), 30_000).Body)
			if got != c.receive {
				t.Errorf("a receive costs %s, want %s", got, c.receive)
			}
			var handles []string
			for _, m := range decodeAs[model.ReceiveResult](t, res.Bytes()).Messages {
				handles = append(handles, m.Receipt)
			}
			if len(handles) != c.n {
				t.Fatalf("received %d messages, want %d", len(handles), c.n)
			}
			del := model.DeleteMessages{Receipts: r.receipts(5, handles)}
			if _, got := r.cost(model.CmdDeleteMessages, del.Append(nil)); got != c.delete {
				t.Errorf("a deletion costs %s, want %s", got, c.delete)
			}
		})
	}
}
