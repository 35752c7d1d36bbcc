package machine

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// queueScript runs a script. A message is named by its body, a receipt by the
// message and the receive: hello#1. Times are in milliseconds.
type queueScript struct {
	*queueRig
	handles map[string]string // receipts by name
	bodies  map[uint64]string // by seq, of the source queue
	seqs    map[string]uint64
	ids     map[string]model.MessageID
}

func TestQueueScripts(t *testing.T) { runQueueScripts(t, "testdata/queue") }
func TestPipeScripts(t *testing.T)  { runQueueScripts(t, "testdata/pipe") }

func runQueueScripts(t *testing.T, dir string) {
	datadriven.Walk(t, dir, func(t *testing.T, path string) {
		s := &queueScript{queueRig: newQueueRig(t), handles: map[string]string{}, bodies: map[uint64]string{}, seqs: map[string]uint64{}, ids: map[string]model.MessageID{}}
		datadriven.RunTest(t, path, func(t *testing.T, td *datadriven.TestData) string {
			s.t = t
			out := s.command(td)
			s.checkQueue(s.id(td))
			return out
		})
	})
}

func number(td *datadriven.TestData, name string, otherwise int64) int64 {
	for _, a := range td.CmdArgs {
		if a.Key == name && len(a.Vals) == 1 {
			n, err := strconv.ParseInt(a.Vals[0], 10, 64)
			if err != nil {
				panic(err)
			}
			return n
		}
	}
	return otherwise
}

func (s *queueScript) id(td *datadriven.TestData) model.ResourceID {
	return model.ResourceID(number(td, "queue", 5))
}

func (s *queueScript) command(td *datadriven.TestData) string {
	id := s.id(td)
	switch td.Cmd {
	case "now":
		s.nowMs = 1_000_000 + number(td, "ms", 0)
		return ""
	case "settings":
		s.settings = model.QueueSettings{
			RetentionMs: number(td, "retention", 0), MaxReceives: uint32(number(td, "max-receives", 0)),
			Fifo: td.HasArg("fifo"), DedupPerGroup: td.HasArg("dedup-per-group"),
			RateMilli: uint64(number(td, "rate-milli", 0)), GroupRateMilli: uint64(number(td, "group-rate-milli", 0)),
		}
		return ""
	case "send":
		return s.sendBodies(td, id) + s.woken()
	case "receive":
		return s.receiveShown(s.receiveOf(td, id)) + s.woken()
	case "cancel":
		return s.cancelShown(td, id)
	case "peek":
		return s.peekShown(td, id)
	case "delete":
		var handles []string
		for _, name := range strings.Fields(td.Input) {
			handles = append(handles, s.handles[name])
		}
		if refused := s.delete(id, handles...); refused != nil {
			return fmt.Sprintln(refused)
		}
		return ""
	case "visibility":
		return s.visibilityShown(td, id) + s.woken()
	case "purge":
		return fmt.Sprintf("status %d\n", s.do(model.CmdPurge, id, (&model.Purge{Follows: td.HasArg("follows")}).Append(nil)).Status)
	case "sweep":
		cmd := model.SetQueueSettings{Settings: s.settings}
		return fmt.Sprintf("%+v\n", decodeAs[model.SweepResult](s.t, s.do(model.CmdSetQueueSettings, id, cmd.Append(nil)).Body)) + s.woken()
	case "counts":
		c := s.counts(id)
		return fmt.Sprintf("visible=%d delayed=%d in-flight=%d claimed=%d dead=%d bytes=%d", c.Visible, c.Delayed, c.InFlight, c.Claimed, c.Dead, c.Bytes) + groupCounts(&c)
	case "ready":
		ok, next := s.ready(s.receiveOf(td, id))
		if next != 0 {
			next -= 1_000_000
		}
		return fmt.Sprintf("ready=%v next=%d\n", ok, next)
	case "dump":
		var out strings.Builder
		for _, k := range s.view.keys {
			fmt.Fprintln(&out, keys.String([]byte(k)))
		}
		return out.String()
	default:
		return s.pipeCommand(td, id)
	}
}

func (s *queueScript) woken() string {
	if s.woke {
		return "wake\n"
	}
	return ""
}

// groupCounts shows the counts of groups, and the age, of a queue that has them.
func groupCounts(c *model.QueueCounts) string {
	if c.Groups == 0 {
		return "\n"
	}
	return fmt.Sprintf(" groups=%d noisy=%d oldest=%d\n", c.Groups, c.Noisy, c.OldestMs-1_000_000)
}

func text(td *datadriven.TestData, name string) string {
	for _, a := range td.CmdArgs {
		if a.Key == name && len(a.Vals) == 1 {
			return a.Vals[0]
		}
	}
	return ""
}

// sendBodies sends one message for each word: body, or body:dedup. It shows the
// messages that were sent before.
func (s *queueScript) sendBodies(td *datadriven.TestData, id model.ResourceID) string {
	cmd := model.Send{Settings: s.settings}
	for _, word := range strings.Fields(td.Input) {
		body, dedup, _ := strings.Cut(word, ":")
		e := s.entry(body, number(td, "delay", 0))
		e.Message.Group, e.Message.Dedup, e.Message.Priority = text(td, "group"), dedup, uint8(number(td, "priority", 0))
		if at := number(td, "at", 0); at != 0 {
			e.AtMs = 1_000_000 + at
		}
		cmd.Entries = append(cmd.Entries, e)
	}
	var out strings.Builder
	for i, sent := range decodeAs[model.SendResult](s.t, s.do(model.CmdSend, id, cmd.Append(nil)).Body).Sent {
		m := &cmd.Entries[i].Message
		if sent.ID != m.ID {
			fmt.Fprintf(&out, "%s was sent as %s, number %d\n", m.Body, s.bodies[sent.Seq], sent.Seq)
			continue
		}
		s.bodies[sent.Seq], s.seqs[string(m.Body)], s.ids[string(m.Body)] = string(m.Body), sent.Seq, m.ID
	}
	return out.String()
}

func (s *queueScript) receiveOf(td *datadriven.TestData, id model.ResourceID) *model.Command {
	s.nonce++
	cmd := model.Receive{Settings: s.settings, Max: uint32(number(td, "n", 10)), VisibilityMs: number(td, "visibility", 30_000), Nonce: s.nonce}
	copy(cmd.Attempt[:], text(td, "attempt"))
	return &model.Command{Kind: model.CmdReceive, Resource: id, Slot: model.QueueSlot(id), Body: cmd.Append(nil)}
}

func (s *queueScript) cancelShown(td *datadriven.TestData, id model.ResourceID) string {
	var cmd model.CancelScheduled
	for _, name := range strings.Fields(td.Input) {
		cmd.IDs = append(cmd.IDs, s.ids[name])
	}
	var out strings.Builder
	for _, status := range decodeAs[model.EntryStatuses](s.t, s.do(model.CmdCancelScheduled, id, cmd.Append(nil)).Body) {
		fmt.Fprintln(&out, entryNames[status])
	}
	return out.String()
}

var (
	entryNames = []string{"ok", "not found", "not in flight", "over limit"}
	placeNames = []string{"", "visible", "delayed", "in flight", "claimed", "dead"}
)

func (s *queueScript) peekShown(td *datadriven.TestData, id model.ResourceID) string {
	body := model.PeekQuery{NowMs: s.nowMs, After: uint64(number(td, "after", 0)), Max: uint32(number(td, "n", 100)), Contains: text(td, "contains"), Group: text(td, "group")}
	page := s.peek(id, body)
	var out strings.Builder
	for _, m := range page.Messages {
		fmt.Fprintf(&out, "%d %s#%d %s", m.Seq, m.Body, m.Receives, placeNames[m.Place])
		if m.AtMs != 0 {
			fmt.Fprintf(&out, " until %d", m.AtMs-1_000_000)
		}
		out.WriteByte('\n')
	}
	fmt.Fprintf(&out, "next=%d more=%v\n", page.Next, page.More)
	return out.String()
}

func (s *queueScript) receiveShown(cmd *model.Command) string {
	res := s.run(cmd)
	if res.Status != model.StatusOK {
		return fmt.Sprintf("status %d\n", res.Status)
	}
	got := decodeAs[model.ReceiveResult](s.t, res.Bytes())
	for i := range got.Messages {
		m := &got.Messages[i]
		s.handles[fmt.Sprintf("%s#%d", m.Body, m.Receives)] = m.Receipt
	}
	return showMessages(got.Messages)
}

func showMessages(ms []model.Received) string {
	var out strings.Builder
	for i := range ms {
		m := &ms[i]
		fmt.Fprintf(&out, "%s#%d sent=%d", m.Body, m.Receives, m.SentMs-1_000_000)
		if m.Receives > 0 {
			fmt.Fprintf(&out, " first=%d", m.FirstReceiveMs-1_000_000)
		}
		if m.DeadFrom != 0 {
			fmt.Fprintf(&out, " dead-from=%d", m.DeadFrom)
		}
		out.WriteByte('\n')
	}
	if len(ms) == 0 {
		return "nothing\n"
	}
	return out.String()
}

func (s *queueScript) visibilityShown(td *datadriven.TestData, id model.ResourceID) string {
	var handles []string
	for _, name := range strings.Fields(td.Input) {
		handles = append(handles, s.handles[name])
	}
	var out strings.Builder
	for _, status := range s.changeVisibility(id, number(td, "ms", 0), handles...) {
		fmt.Fprintln(&out, entryNames[status])
	}
	return out.String()
}

func (s *queueScript) pipeCommand(td *datadriven.TestData, id model.ResourceID) string {
	pipe := model.ResourceID(number(td, "pipe", 100))
	switch td.Cmd {
	case "claim":
		got, status := s.claim(id, pipe, uint32(number(td, "n", 10)), td.HasArg("dead"), "plan")
		if status != model.StatusOK {
			return fmt.Sprintf("status %d\n", status)
		}
		return fmt.Sprintf("claim=%d floor=%d\n%s", got.Seq, got.Floor, showMessages(got.Messages))
	case "settle":
		s.settle(id, pipe, model.ClaimSeq(number(td, "claim", 0)), td.HasArg("release"))
		return s.woken()
	case "claims":
		page := s.claims(id, pipe, model.ClaimSeq(number(td, "after", 0)))
		out := fmt.Sprintf("floor=%d settled=%d more=%v\n", page.Floor, page.Settled, page.More)
		for _, c := range page.Claims {
			out += fmt.Sprintf("pipe=%d claim=%d plan=%s\n%s", c.Pipe, c.Seq, c.Plan, showMessages(c.Messages))
		}
		return out
	case "apply":
		return s.applyShown(td, pipe)
	case "item":
		return s.itemShown(td.Input)
	case "scan":
		q := model.Query{Kind: model.QueryScan, Resource: 7, Body: (&model.Scan{HiSlot: model.SlotCount, MaxBytes: model.MaxPageBytes}).Append(nil)}
		res, err := Query(s.view, &q)
		if err != nil {
			s.t.Fatal(err)
		}
		return fmt.Sprintf("items=%d\n", decodeAs[model.PageResult](s.t, res.Body).Count)
	case "drop":
		target := model.ResourceID(number(td, "target", 7))
		return fmt.Sprintf("status %d\n", s.do(model.CmdDropResource, target, nil).Status)
	default:
		s.t.Fatalf("unknown command %s", td.Cmd)
		return ""
	}
}

// applyShown applies effects: lines of a message and add PK N, set PK, create PK
// (only when it is not there), break PK (a type error), or send BODY.
func (s *queueScript) applyShown(td *datadriven.TestData, pipe model.ResourceID) string {
	target := model.ResourceID(number(td, "target", 7))
	cmd := model.PipeApply{
		Settings: s.settings, Pipe: pipe, Source: model.PipeSource{Resource: 5, Slot: model.QueueSlot(5)}, Part: uint32(number(td, "part", 0)),
		Claim: model.ClaimSeq(number(td, "claim", 0)), Floor: model.ClaimSeq(number(td, "floor", 0)),
	}
	for _, line := range strings.Split(strings.TrimSpace(td.Input), "\n") {
		if f := strings.Fields(line); len(f) >= 3 {
			cmd.Effects = append(cmd.Effects, s.effect(f))
		}
	}
	res := s.do(model.CmdPipeApply, target, cmd.Append(nil))
	if res.Status != model.StatusOK {
		return fmt.Sprintf("status %d\n", res.Status)
	}
	got := decodeAs[model.PipeApplyResult](s.t, res.Body)
	out := fmt.Sprintf("effects=%d rejected=%d\n", got.Effects, len(got.Rejected))
	for _, r := range got.Rejected {
		out += fmt.Sprintf("%s: status %d %s\n", s.bodies[r.Message], r.Status, r.Reason)
	}
	return out + s.woken()
}

func (s *queueScript) effect(f []string) model.PipeEffect {
	e := model.PipeEffect{Message: s.seqs[f[0]]}
	switch f[1] {
	case "add":
		e.Kind, e.Body = model.CmdUpdateItem, updateBody(s.t, f[2], "ADD score :v", model.Value{Kind: model.KindN, Str: f[3]}, "")
	case "break":
		e.Kind, e.Body = model.CmdUpdateItem, updateBody(s.t, f[2], "ADD p2 :v", model.Value{Kind: model.KindN, Str: "1"}, "")
	case "set":
		e.Kind, e.Body = model.CmdUpdateItem, updateBody(s.t, f[2], "SET p2 = :v", model.StringValue("text"), "")
	case "create":
		e.Kind, e.Body = model.CmdUpdateItem, updateBody(s.t, f[2], "SET p2 = :v", model.StringValue("new"), "attribute_not_exists(p)")
	case "remove":
		e.Kind, e.Body = model.CmdDeleteItem, (&model.DeleteItem{Key: itemKey(testKey(f[2]))}).Append(nil)
	case "send":
		entry := s.entry(f[2], 0)
		entry.Message.DeadFrom = 5
		if len(f) > 3 { // group and deduplication id
			entry.Message.DeadFrom, entry.Message.Group, entry.Message.Dedup = 0, f[3], f[4]
		}
		e.Kind, e.Body = model.CmdSend, entry.Append(nil)
	default:
		s.t.Fatalf("unknown effect %s", f[1])
	}
	return e
}

func testKey(pk string) model.Item {
	return model.Item{{Name: "p", Value: model.StringValue(pk)}}
}

// updateBody is the body of an UpdateItem with one value, :v.
func updateBody(t testing.TB, pk, update string, v model.Value, condition string) []byte {
	t.Helper()
	up := model.UpdateItem{Key: itemKey(testKey(pk)), KeyItem: model.AppendItem(nil, testKey(pk))}
	params, err := expr.NewParams(nil, model.Item{{Name: ":v", Value: v}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := expr.ParseUpdate(update, params)
	if err != nil {
		t.Fatal(err)
	}
	up.Update = u.Append(nil)
	if condition != "" {
		c, err := expr.ParseCondition(condition, params)
		if err != nil {
			t.Fatal(err)
		}
		up.Condition = c.Append(nil)
	}
	return up.Append(nil)
}

func (s *queueScript) itemShown(pk string) string {
	item, err := readItem(s.view, 7, itemKey(testKey(strings.TrimSpace(pk))))
	if err != nil {
		s.t.Fatal(err)
	}
	if !item.found {
		return "none\n"
	}
	return showItem(s.t.(*testing.T), item.Item) + "\n"
}
