package machine

import (
	"slices"

	"weir.dev/weir/internal/model"
)

// reader returns a reader's state, which begins behind the last change when it
// is not known. The pointer is good until readers come or go.
func (c *changeLog) reader(id model.ReaderID) *reader {
	at, known := c.findReader(id)
	if !known {
		c.readers = slices.Insert(c.readers, at, reader{id: id, upTo: c.last, total: c.total})
	}
	return &c.readers[at]
}

// applyRole makes the tables that a reader watches passive, or active again.
// Being part of the log, it is exact: every write before it counts, none behind
// it does.
func applyRole(m *Machine, tx *Tx) (model.Result, error) {
	cmd, err := bodyOf[model.Role](tx.Command.Body)
	if err != nil {
		return model.Result{}, err
	}
	c := &m.changes
	r := c.reader(tx.Command.Resource)
	if cmd.Version < r.version {
		return model.Result{Status: model.StatusStale}, nil
	}
	r.version, r.passive = cmd.Version, cmd.Passive
	c.writeReader(tx, r)
	c.recompute()
	return model.Result{}, nil
}

// refusedWhilePassive are the commands that a table, queue or stream of which
// another region takes the writes does not carry out.
var refusedWhilePassive = map[model.CommandKind]bool{
	model.CmdPutItem: true, model.CmdUpdateItem: true, model.CmdDeleteItem: true, model.CmdBatchWrite: true,
	model.CmdPipeApply: true,
	model.CmdSend:      true, model.CmdReceive: true, model.CmdDeleteMessages: true, model.CmdChangeVisibility: true, model.CmdPurge: true,
	model.CmdSetQueueSettings: true, model.CmdCancelScheduled: true, model.CmdClaim: true, model.CmdSettle: true,
	model.CmdPutRecords: true, model.CmdCloseShard: true, model.CmdTrimShard: true, model.CmdSetPosition: true,
}

// awaitsRegions are the commands whose answers wait for links that are
// synchronous: what clients and pipes write, and what they take out for good. Who
// has a message or a shard for a while, settings and reshardings are nothing that
// the region which takes over would lack: it gives the messages again.
var awaitsRegions = map[model.CommandKind]bool{
	model.CmdPutItem: true, model.CmdUpdateItem: true, model.CmdDeleteItem: true, model.CmdBatchWrite: true,
	model.CmdPipeApply: true,
	model.CmdSend:      true, model.CmdDeleteMessages: true, model.CmdPurge: true, model.CmdCancelScheduled: true, model.CmdSettle: true,
	model.CmdPutRecords: true,
}

// AwaitsRegions reports whether the answer to a command waits for links that are
// synchronous.
func AwaitsRegions(cmd *model.Command) bool {
	return awaitsRegions[cmd.Kind] || cmd.Kind == model.CmdSetPosition && setsPosition(cmd.Body)
}

// setsPosition reports whether a CmdSetPosition says more than who has the shard.
func setsPosition(body []byte) bool {
	c, err := bodyOf[model.SetPosition](body)
	switch {
	case err != nil:
		return false
	case c.Op == model.PositionRelease:
		return c.N != 0
	default:
		return c.Op == model.PositionCommit || c.Op == model.PositionSeek || c.Op == model.PositionForget
	}
}
