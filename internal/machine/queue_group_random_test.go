package machine

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"weir.dev/weir/internal/model"
)

// groupKnown is what the model of a queue with groups knows of one message.
type groupKnown struct {
	known
	id       model.MessageID
	seq      uint64
	group    string
	priority uint8
	sentMs   int64 // its retention counts from then
	timed    bool  // scheduled, and not yet due when it was last looked at
}

// sending is a deduplication id that was sent.
type sending struct {
	atMs int64
	id   model.MessageID
	seq  uint64
}

// groupModel is a queue with groups as a list of messages in the order in
// which they were sent, next to the real one.
type groupModel struct {
	*queueRig
	rng       *rand.Rand
	live      []*groupKnown
	old       []string // receipts that are not the latest, or of messages that are gone
	sendings  map[string]sending
	delivered []delivery
	serial    int
	purges    int
}

// delivery is a message that was handed out.
type delivery struct {
	atMs  int64
	group string // with the number of purges before it, which forget the rates of groups
}

// TestGroupsAgainstModel does random things to queues with groups and to a
// model of them.
func TestGroupsAgainstModel(t *testing.T) {
	for seed := range uint64(30) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			m := &groupModel{queueRig: newQueueRig(t), rng: rand.New(rand.NewPCG(seed, 3)), sendings: map[string]sending{}}
			m.settings = model.QueueSettings{Fifo: seed%2 == 0, DedupPerGroup: seed%8 == 0}
			switch seed / 2 % 5 {
			case 1:
				m.settings.MaxReceives = 2
			case 2:
				m.settings.RetentionMs = 900
			case 3:
				m.settings.RateMilli, m.settings.GroupRateMilli = 40_000, 10_000
			case 4:
				m.settings.GroupRateMilli, m.settings.MaxReceives = 30_000, 3
			}
			for range 400 {
				m.step()
				m.check()
			}
			m.checkRates()
			m.drain()
			m.checkReplay()
		})
	}
}

func (m *groupModel) step() {
	switch n := m.rng.IntN(100); {
	case n < 25:
		m.sendSome()
	case n < 52:
		m.receiveSome(uint32(1 + m.rng.IntN(12)))
	case n < 66:
		m.deleteSome()
	case n < 74:
		m.changeSome()
	case n < 84:
		m.nowMs += int64(m.rng.IntN(150))
	case n < 90:
		m.claimSome()
	case n < 96:
		m.settleSome()
	case n < 98:
		m.cancelSome()
	case n == 98:
		m.do(model.CmdSetQueueSettings, 5, (&model.SetQueueSettings{Settings: m.settings}).Append(nil))
	case m.rng.IntN(5) == 0:
		if m.do(model.CmdPurge, 5, (&model.Purge{}).Append(nil)).Status == model.StatusOK {
			m.purges++
			for _, k := range slices.Clone(m.live) {
				m.remove(k)
			}
		}
	default:
		m.nowMs += 400_000 // past the deduplication window
	}
	m.learn()
}

func (m *groupModel) remove(k *groupKnown) {
	m.live = slices.DeleteFunc(m.live, func(o *groupKnown) bool { return o == k })
	if k.receipt != "" {
		m.old = append(m.old, k.receipt)
	}
}

func (m *groupModel) expired(k *groupKnown) bool {
	return m.settings.RetentionMs > 0 && k.sentMs+m.settings.RetentionMs <= m.nowMs && !k.dead
}

// learn finds out which messages were buried, and which expired ones are gone.
func (m *groupModel) learn() {
	for _, k := range slices.Clone(m.live) {
		if !m.stores(k.seq) && m.expired(k) && k.claimed == 0 {
			m.remove(k)
			continue
		}
		if m.settings.MaxReceives == 0 || k.receives < m.settings.MaxReceives || k.dead || k.claimed != 0 {
			continue
		}
		st, err := readState(m.view, 5, model.QueueSlot(5), k.seq)
		if err != nil || st == nil {
			m.t.Fatalf("%s has no state: %v", k.body, err)
		}
		k.dead = st.Place == 3
	}
}

func (m *groupModel) sendSome() {
	cmd := model.Send{Settings: m.settings}
	delay := max(0, int64(m.rng.IntN(6))-3) * 100
	for range 1 + m.rng.IntN(5) {
		m.serial++
		if m.rng.IntN(6) == 0 { // not with those before it
			delay = 300 - delay
		}
		e := m.entry(fmt.Sprint("m", m.serial), delay)
		e.Message.Group = fmt.Sprint("g", m.rng.IntN(6))
		if m.settings.Fifo {
			if m.rng.IntN(2) == 0 {
				e.Message.Dedup = fmt.Sprint("d", m.rng.IntN(8))
			}
		} else {
			if m.rng.IntN(4) == 0 {
				e.Message.Group = ""
			}
			e.Message.Priority = uint8(max(0, m.rng.IntN(7)-3) * 3)
			if m.rng.IntN(8) == 0 {
				e.AtMs, e.DelayMs = m.nowMs+int64(m.rng.IntN(600)), 0
			}
		}
		cmd.Entries = append(cmd.Entries, e)
	}
	for i, sent := range decodeAs[model.SendResult](m.t, m.do(model.CmdSend, 5, cmd.Append(nil)).Body).Sent {
		m.note(&cmd.Entries[i], sent)
	}
}

// note adds a message that was sent, or checks that it repeats one.
func (m *groupModel) note(e *model.SendEntry, sent model.SentMessage) {
	msg := &e.Message
	if msg.Dedup != "" {
		key := msg.Dedup
		if m.settings.DedupPerGroup {
			key = msg.Group + "/" + key
		}
		if s, ok := m.sendings[key]; ok && m.nowMs-s.atMs < 300_000 {
			if sent.ID != s.id || sent.Seq != s.seq {
				m.t.Fatalf("%s repeats %+v, but the answer is %+v", msg.Body, s, sent)
			}
			return
		}
		m.sendings[key] = sending{m.nowMs, sent.ID, sent.Seq}
	}
	if sent.ID != msg.ID {
		m.t.Fatalf("%s is taken for another message", msg.Body)
	}
	k := &groupKnown{id: msg.ID, seq: sent.Seq, group: msg.Group, priority: msg.Priority, sentMs: m.nowMs}
	k.body, k.hiddenMs = string(msg.Body), m.nowMs+e.DelayMs
	if e.AtMs > m.nowMs {
		k.hiddenMs, k.sentMs, k.timed = e.AtMs, e.AtMs, true
	}
	m.live = append(m.live, k)
}

func (m *groupModel) find(r *model.Received) *groupKnown {
	i := slices.IndexFunc(m.live, func(k *groupKnown) bool { return k.seq == r.Seq })
	if i < 0 || m.live[i].body != string(r.Body) {
		m.t.Fatalf("%s came back", r.Body)
	}
	return m.live[i]
}

// visible reports whether a message is free to be taken, but for its group.
func (m *groupModel) visible(k *groupKnown) bool {
	return k.hiddenMs <= m.nowMs && k.claimed == 0 && !k.dead && !m.expired(k)
}

func (m *groupModel) doomed(k *groupKnown) bool {
	return m.settings.MaxReceives > 0 && k.receives >= m.settings.MaxReceives
}

// takeable are the messages that may be taken now, in the order in which those
// of a FIFO group must be: those before the group's first that may not.
func (m *groupModel) takeable() (free []*groupKnown) {
	if !m.settings.Fifo {
		for _, k := range m.live {
			if m.visible(k) && !m.doomed(k) {
				free = append(free, k)
			}
		}
		return free
	}
	ended := map[string]bool{}
	for _, k := range m.live {
		if k.dead || k.claimed != 0 || k.inFlight && k.hiddenMs > m.nowMs {
			ended[k.group] = true
		}
	}
	for _, k := range m.live {
		switch {
		case ended[k.group] || m.expired(k):
		case !m.visible(k) || m.doomed(k):
			ended[k.group] = true
		default:
			free = append(free, k)
		}
	}
	return free
}

// taken checks what a receive or claim has taken out of what it could take.
func (m *groupModel) taken(free []*groupKnown, got []model.Received, most int) (ks []*groupKnown) {
	left := slices.Clone(free)
	for i := range got {
		k := m.find(&got[i])
		at := slices.Index(left, k)
		if at < 0 {
			m.t.Fatalf("%s was taken though it is %+v at %d", k.body, k, m.nowMs)
		}
		if m.settings.Fifo && slices.IndexFunc(left, func(o *groupKnown) bool { return o.group == k.group }) != at {
			m.t.Fatalf("%s was taken before others of its group", k.body)
		}
		if n := len(ks); n > 0 && !m.settings.Fifo && ks[n-1].priority < k.priority {
			m.t.Fatalf("%s of priority %d was taken after %s of %d", k.body, k.priority, ks[n-1].body, ks[n-1].priority)
		}
		left = slices.Delete(left, at, at+1)
		ks = append(ks, k)
		m.delivered = append(m.delivered, delivery{m.nowMs, fmt.Sprint(k.group, " ", m.purges)})
	}
	if m.settings.RateMilli+m.settings.GroupRateMilli > 0 {
		return ks
	}
	if len(got) < most && len(left) > 0 {
		m.t.Fatalf("%d of %d were taken, but not %+v at %d", len(got), most, left[0], m.nowMs)
	}
	for _, o := range left {
		if !m.settings.Fifo && o.priority > ks[len(ks)-1].priority {
			m.t.Fatalf("%s of priority %d was passed over", o.body, o.priority)
		}
	}
	return ks
}

func (m *groupModel) receiveSome(n uint32) {
	visibility := int64(m.rng.IntN(4)) * 100
	free := m.takeable()
	cmd := m.receiveCommand(5, n, visibility)
	ready, next := m.ready(cmd)
	got := m.receive(5, n, visibility)
	if !ready && len(got) > 0 {
		m.t.Fatalf("%d messages came though none was ready until %d at %d", len(got), next, m.nowMs)
	}
	for i, k := range m.taken(free, got, int(n)) {
		if k.receives++; k.receives != got[i].Receives {
			m.t.Fatalf("%s: receive count %d, want %d", k.body, got[i].Receives, k.receives)
		}
		if k.receipt != "" {
			m.old = append(m.old, k.receipt)
		}
		k.receipt, k.hiddenMs, k.inFlight = got[i].Receipt, m.nowMs+visibility, visibility > 0
	}
}

func (m *groupModel) pick() *groupKnown {
	if len(m.live) == 0 {
		return nil
	}
	return m.live[m.rng.IntN(len(m.live))]
}

func (m *groupModel) deleteSome() {
	var handles []string
	var want model.EntryStatuses
	for range 1 + m.rng.IntN(4) {
		if len(m.old) > 0 && m.rng.IntN(3) == 0 {
			old := m.old[m.rng.IntN(len(m.old))]
			seq := m.receipts(5, []string{old})[0].Seq
			handles = append(handles, old)
			if m.settings.Fifo && slices.ContainsFunc(m.live, func(k *groupKnown) bool { return k.seq == seq }) {
				want = append(want, model.EntryNotInflight)
			} else {
				want = append(want, model.EntryOK)
			}
		} else if k := m.pick(); k != nil && k.receipt != "" {
			handles = append(handles, k.receipt)
			if m.settings.Fifo && (k.claimed != 0 || k.dead || !k.inFlight || k.hiddenMs <= m.nowMs) {
				want = append(want, model.EntryNotInflight)
				continue
			}
			want = append(want, model.EntryOK)
			m.remove(k)
		}
	}
	if !slices.Contains(want, model.EntryNotInflight) {
		want = nil
	}
	if got := m.delete(5, handles...); !slices.Equal(got, want) {
		m.t.Fatalf("deleting at %d: %v, want %v", m.nowMs, got, want)
	}
}

func (m *groupModel) changeSome() {
	k := m.pick()
	if k == nil || k.receipt == "" {
		return
	}
	ms := int64(m.rng.IntN(4)) * 100
	want := model.EntryOK
	switch {
	case k.claimed != 0 || k.dead:
		want = model.EntryNotFound
	case k.hiddenMs <= m.nowMs || !k.inFlight:
		want = model.EntryNotInflight
	}
	if got := m.changeVisibility(5, ms, k.receipt)[0]; got != want {
		m.t.Fatalf("changing %+v at %d: %d, want %d", k, m.nowMs, got, want)
	}
	if want == model.EntryOK {
		k.hiddenMs = m.nowMs + ms
	}
}

func (m *groupModel) claimSome() {
	n := 1 + m.rng.IntN(8)
	if m.rng.IntN(3) == 0 {
		m.claimDead(n)
		return
	}
	free := m.takeable()
	got, status := m.claim(5, 9, uint32(n), false, "")
	if status != model.StatusOK {
		return
	}
	for _, k := range m.taken(free, got.Messages, n) {
		k.claimed = got.Seq
	}
}

// claimDead checks that dead messages of a FIFO group are claimed in their
// order, and by one claim at a time.
func (m *groupModel) claimDead(n int) {
	got, status := m.claim(5, 9, uint32(n), true, "")
	if status != model.StatusOK {
		return
	}
	for i := range got.Messages {
		k := m.find(&got.Messages[i])
		if !k.dead {
			m.t.Fatalf("%+v was claimed as dead", k)
		}
		for _, o := range m.live {
			if !m.settings.Fifo || o.group != k.group || o.seq >= k.seq {
				continue
			}
			if o.dead || o.claimed != 0 && o.claimed != got.Seq {
				m.t.Fatalf("%s was claimed as dead before %+v", k.body, o)
			}
		}
		k.claimed, k.dead = got.Seq, false
	}
}

func (m *groupModel) settleSome() {
	page := m.claims(5, 9, 0)
	if len(page.Claims) == 0 {
		return
	}
	c := page.Claims[m.rng.IntN(len(page.Claims))]
	release := m.rng.IntN(2) == 0
	m.settle(5, 9, c.Seq, release)
	settled := page.Settled
	for _, k := range slices.Clone(m.live) {
		switch {
		case k.claimed != c.Seq:
		case release:
			k.claimed, k.hiddenMs = 0, m.nowMs
		default:
			m.remove(k)
			settled++
		}
	}
	if got := m.claims(5, 9, 0).Settled; got != settled {
		m.t.Fatalf("%d settled, want %d", got, settled)
	}
}

func (m *groupModel) cancelSome() {
	k := m.pick()
	if k == nil {
		return
	}
	want := model.EntryNotFound
	if k.timed && k.hiddenMs > m.nowMs && k.receives == 0 && k.claimed == 0 {
		want = model.EntryOK
	}
	cmd := model.CancelScheduled{IDs: []model.MessageID{k.id, k.id}}
	got := decodeAs[model.EntryStatuses](m.t, m.do(model.CmdCancelScheduled, 5, cmd.Append(nil)).Body)
	if got[0] != want || got[1] != model.EntryNotFound {
		m.t.Fatalf("cancelling %+v at %d: %v, want %d", k, m.nowMs, got, want)
	}
	if want == model.EntryOK {
		m.remove(k)
	}
}

// check compares the counts, and what peeking shows.
func (m *groupModel) check() {
	m.checkQueue(5)
	if m.settings.RetentionMs > 0 {
		return // expired messages count until they are swept
	}
	var want model.QueueCounts
	groups := map[string]bool{}
	places := map[uint64]model.MessagePlace{}
	for _, k := range m.live {
		want.Bytes += uint64(len(k.body))
		if k.group != "" {
			groups[k.group] = true
		}
		switch {
		case k.claimed != 0:
			want.Claimed++
			places[k.seq] = model.MessageClaimed
		case k.dead:
			want.Dead++
			places[k.seq] = model.MessageDead
		case k.hiddenMs <= m.nowMs:
			want.Visible++
			places[k.seq] = model.MessageVisible
		case k.inFlight:
			want.InFlight++
			places[k.seq] = model.MessageInFlight
		default:
			want.Delayed++
			places[k.seq] = model.MessageDelayed
		}
	}
	want.Groups = uint64(len(groups))
	got := m.counts(5)
	got.OldestMs, got.Noisy = 0, 0
	if got != want {
		m.t.Fatalf("counts are %+v, want %+v", got, want)
	}
	if m.rng.IntN(10) == 0 {
		m.checkPeek(places)
	}
}

func (m *groupModel) checkPeek(places map[uint64]model.MessagePlace) {
	last, seen := uint64(0), 0
	for page := (model.PeekResult{More: true}); page.More; last = page.Next {
		page = m.peek(5, model.PeekQuery{NowMs: m.nowMs, After: last, Max: 7})
		for _, p := range page.Messages {
			if p.Seq <= last || places[p.Seq] != p.Place || (p.AtMs > m.nowMs) != (p.Place == model.MessageDelayed || p.Place == model.MessageInFlight) {
				m.t.Fatalf("peeked %+v after %d, want place %d", p, last, places[p.Seq])
			}
			last = p.Seq
			seen++
		}
	}
	if seen != len(m.live) {
		m.t.Fatalf("peeked %d messages of %d", seen, len(m.live))
	}
}

// checkRates checks that no span of time saw more deliveries than its rate and
// one burst allow.
func (m *groupModel) checkRates() {
	within := func(ds []delivery, milli uint64) {
		if milli == 0 {
			return
		}
		burst := max(1, float64(milli)/10_000)
		for i := range ds {
			for j := i; j < len(ds); j++ {
				if allowed := burst + float64(ds[j].atMs-ds[i].atMs)*float64(milli)/1_000_000; float64(j-i+1) > allowed+1e-6 {
					m.t.Fatalf("%d deliveries from %d to %d, %f are allowed", j-i+1, ds[i].atMs, ds[j].atMs, allowed)
				}
			}
		}
	}
	within(m.delivered, m.settings.RateMilli)
	groups := map[string][]delivery{}
	for _, d := range m.delivered {
		groups[d.group] = append(groups[d.group], d)
	}
	for group, ds := range groups {
		if group[0] == 'g' { // messages without a group have no rate of their own
			within(ds, m.settings.GroupRateMilli)
		}
	}
}

// drain takes out everything, waiting for as long as Ready says, and finds the
// model's messages, each once.
func (m *groupModel) drain() {
	m.settings.RetentionMs = 0
	m.nowMs += 1000
	for _, c := range m.claims(5, 9, 0).Claims {
		m.settle(5, 9, c.Seq, true)
	}
	m.settings.MaxReceives = 0
	for decodeAs[model.SweepResult](m.t, m.do(model.CmdSetQueueSettings, 5, (&model.SetQueueSettings{Settings: m.settings}).Append(nil)).Body).More {
	}
	var got, want []string
	for _, k := range m.live {
		want = append(want, k.body)
	}
	for waits := 0; waits < 1000; {
		ready, next := m.ready(m.receiveCommand(5, 10, 1_000_000))
		if !ready {
			if next == 0 {
				break
			}
			m.nowMs = next
			waits++
			continue
		}
		for _, r := range m.receive(5, 10, 1_000_000) {
			got = append(got, string(r.Body))
			m.delete(5, r.Receipt)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		m.t.Fatalf("left are %v, want %v", got, want)
	}
	m.checkQueue(5)
	m.nowMs += 1_000_000 // records of groups without messages linger no longer
	m.do(model.CmdSetQueueSettings, 5, (&model.SetQueueSettings{}).Append(nil))
	m.checkEmpty()
}

// checkEmpty finds nothing but the head, claims and what was sent lately.
func (m *groupModel) checkEmpty() {
	if counts := m.counts(5); counts != (model.QueueCounts{}) {
		m.t.Fatalf("an empty queue counts %+v", counts)
	}
	for _, k := range m.view.keys {
		if k[0] == 'd' && k[11] != 'q' && k[11] != 'k' {
			m.t.Fatalf("%q is left", k)
		}
	}
}
