package pipe

import (
	"fmt"
	"sort"
	"unicode/utf8"

	"weir.dev/weir/internal/model"
)

// The attributes that a dead letter gets besides its own.
const (
	reasonAttribute = "weir.reason"
	pipeAttribute   = "weir.pipe"
)

// bury sends the messages that cannot be applied to the dead-letter queue. A
// queue that was deleted is made again: a message is never dropped.
func (w *worker) bury(c *claim, rejected []dead) error {
	sort.Slice(rejected, func(i, j int) bool { return rejected[i].message.Seq < rejected[j].message.Seq })
	for {
		j := w.current()
		if _, ok := w.engine.cluster.Catalog().ResourceByID(j.spec.DeadLetters); !ok && !j.mover {
			// It was deleted; its data may not be gone yet, and would take the letters
			// along.
			if err := w.remakeDeadLetters(j); err != nil {
				return err
			}
			continue
		}
		p := part{number: model.DeadPart, target: j.spec.DeadLetters, slot: model.QueueSlot(j.spec.DeadLetters)}
		for _, r := range rejected {
			p.effects = append(p.effects, model.PipeEffect{Message: r.message.Seq, Kind: model.CmdSend, Body: letter(c, r, j)})
		}
		res, err := w.propose(w.applyCommand(c, &p))
		switch {
		case err != nil:
			return err
		case res.Status == model.StatusOK:
			return nil
		case res.Status == model.StatusStale:
			return errStale
		case res.Status != model.StatusGone:
			return fmt.Errorf("the dead-letter queue answered with status %d: %s", res.Status, res.Body)
		}
		if err := w.remakeDeadLetters(j); err != nil {
			return err
		}
	}
}

// remakeDeadLetters makes the dead-letter queue again and waits until the
// worker may have heard of it. An error says that the worker is stopping.
func (w *worker) remakeDeadLetters(j *job) error {
	if err := w.engine.remakeDeadLetters(w.ctx, j); err != nil {
		w.engine.log.Warn("cannot make the dead-letter queue again", "pipe", j.name, "error", err)
	}
	w.pause(superviseEvery)
	return w.ctx.Err()
}

// letter is the dead letter of a message: the message, with the reason and the
// pipe as attributes.
func letter(c *claim, r dead, j *job) []byte {
	if j.fromStream() {
		return recordLetter(r, j, c.Shard)
	}
	e := model.SendEntry{Message: r.message.Message}
	e.Message.DeadFrom = j.spec.Source
	e.Message.Attrs = append([]model.MessageAttr(nil), e.Message.Attrs...)
	e.Message.Attrs = append(e.Message.Attrs,
		model.MessageAttr{Name: reasonAttribute, DataType: "String", Value: shorten(r.reason, model.MaxReasonBytes)},
		model.MessageAttr{Name: pipeAttribute, DataType: "String", Value: j.name},
	)
	return e.Append(nil)
}

// shorten cuts a text to at most n bytes, between characters.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
