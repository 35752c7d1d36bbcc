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

// WritesForClients reports whether commands of this kind are clients' and pipes'
// writes of what links ship: those that are refused where another region takes
// the writes, and whose answers wait for links that are synchronous.
func WritesForClients(k model.CommandKind) bool { return refusedWhilePassive[k] }
