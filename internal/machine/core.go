package machine

import (
	"encoding/binary"
	"fmt"

	"weir.dev/weir/internal/keys"
	"weir.dev/weir/internal/model"
)

// Machine applies one tablet's commands. It is used by one goroutine at a
// time; queries need no Machine and may run beside it.
type Machine struct {
	tablet  model.TabletID
	lo, hi  uint32 // the tablet's slots: [lo, hi)
	seen    dedupe
	changes changeLog
	queue   queue // what the command being applied works on, if it is one on a queue
	heads   queueHeads
	dropped map[model.ResourceID]bool
	tx      Tx             // of the command being applied
	catalog *model.Catalog // of tablet 0; nil elsewhere
}

// New returns the machine of a tablet that owns slots [lo, hi). Call Load
// before the first Apply.
func New(tablet model.TabletID, lo, hi uint32) *Machine {
	return &Machine{tablet: tablet, lo: lo, hi: hi}
}

// Load rebuilds what the machine keeps in memory from the stored state: after
// opening a tablet and after a snapshot was installed.
func (m *Machine) Load(r Reader) error {
	if err := m.seen.load(r, m.tablet); err != nil {
		return fmt.Errorf("cannot load the request ids of tablet %v: %w", m.tablet, err)
	}
	if err := m.changes.load(r, m.tablet); err != nil {
		return fmt.Errorf("cannot load the change log of tablet %v: %w", m.tablet, err)
	}
	m.heads.forget()
	m.dropped = map[model.ResourceID]bool{}
	lo, hi := keys.DroppedSpan(m.tablet)
	err := scan(r, lo, hi, func(key, _ []byte) error {
		id, ok := keys.SplitDropped(key)
		if !ok {
			return model.ErrCorrupt
		}
		m.dropped[id] = true
		return nil
	})
	if err != nil {
		return fmt.Errorf("cannot load the dropped resources of tablet %v: %w", m.tablet, err)
	}
	if m.tablet == model.CatalogTablet {
		if m.catalog, err = loadCatalog(r); err != nil {
			return fmt.Errorf("cannot load the catalog: %w", err)
		}
	}
	return nil
}

// Catalog is the catalog after the last command applied, in tablet 0.
func (m *Machine) Catalog() *model.Catalog { return m.catalog }

// LastChange is the number of the last change in the tablet's change log, after
// the last command applied. It never falls while the tablet lives.
func (m *Machine) LastChange() model.ChangeNumber { return m.changes.last }

// Position is a command's place in its tablet's log: the entry that holds it
// and its place within the entry.
type Position struct {
	Index   model.Index
	Ordinal uint32
	// More says that a command of the same entry follows, whose changes are
	// committed together with this one's.
	More bool
}

// Outcome is what Apply did.
type Outcome struct {
	Result model.Result
	// Wake asks the leader to wake those who wait on the command's resource
	// and slot: something became available, or will by itself, maybe sooner than they
	// know.
	Wake bool
	// Buried says that messages of the command's resource died.
	Buried bool
	// Repeated says that the command's request id had been applied before; the
	// result is the first one, and nothing was written.
	Repeated bool

	taken []keys.QueueEntry // of a receive: what it took just now, so that Expand need not look for it
}

// Apply applies one command: it reads the state from r and writes its changes
// to w; the next command's r must show them. Commands must come in the order of
// their positions, each once. An error means that the state or the command
// cannot be understood; the node must stop.
func (m *Machine) Apply(r Reader, w Writer, at Position, cmd *model.Command) (Outcome, error) {
	out, err := m.applyOnce(r, w, at, cmd)
	if err == nil && !at.More {
		m.seen.file(w, m.tablet)
	}
	return out, err
}

// applyOnce applies the command unless its request id was applied before.
func (m *Machine) applyOnce(r Reader, w Writer, at Position, cmd *model.Command) (Outcome, error) {
	m.seen.expire(w, m.tablet, cmd.Stamp)
	if !cmd.ID.IsZero() {
		res, ok, err := m.seen.lookup(r, m.tablet, cmd)
		if err != nil {
			return Outcome{}, err
		}
		if ok {
			return Outcome{Result: res, Repeated: true}, nil
		}
	}
	tx := &m.tx
	*tx = Tx{Reader: r, Writer: w, Index: at.Index, Command: cmd, key: tx.key, value: tx.value}
	res, err := m.dispatch(tx)
	if err != nil {
		return Outcome{}, fmt.Errorf("cannot apply command kind %d at %v/%d.%d: %w", cmd.Kind, m.tablet, at.Index, at.Ordinal, err)
	}
	if !cmd.ID.IsZero() && !TookNothing(cmd, res) && res.Status != model.StatusPassive {
		m.seen.record(w, m.tablet, at, cmd, &res)
	}
	return Outcome{Result: res, Wake: tx.Wake, Buried: tx.Buried, taken: tx.taken}, nil
}

func (m *Machine) dispatch(tx *Tx) (model.Result, error) {
	apply, ok := applies[tx.Command.Kind]
	if !ok {
		return model.Result{}, fmt.Errorf("this program does not know the command; it is older than the log it reads")
	}
	if m.dropped[tx.Command.Resource] {
		return model.Result{Status: model.StatusGone}, nil
	}
	tx.changes, tx.wanted = &m.changes, m.changes.of(tx.Command.Resource)
	if tx.wanted.passive && refusedWhilePassive[tx.Command.Kind] {
		return model.Result{Status: model.StatusPassive}, nil
	}
	return apply(m, tx)
}

// Expand turns the result that Apply recorded into the one that clients see,
// reading what the recorded one only refers to. Only the node that answers
// calls it, before it applies another command; r shows what this one wrote.
func (o *Outcome) Expand(r Reader, cmd *model.Command) (model.Result, error) {
	if o.Result.Status != model.StatusOK {
		return o.Result, nil
	}
	switch cmd.Kind {
	case model.CmdReceive:
		full, err := o.expandReceive(r, cmd)
		return model.Result{Received: full}, err
	case model.CmdClaim, model.CmdClaimRecords:
		full, err := expandClaim(r, cmd, o.Result.Body)
		return model.Result{Body: full.Append(nil)}, err
	default:
		return o.Result, nil
	}
}

// Query answers a query from r, which must not change meanwhile unless the
// query reads one key only.
func Query(r Reader, q *model.Query) (model.Result, error) {
	answer, ok := queries[q.Kind]
	if !ok {
		return model.Result{}, fmt.Errorf("unknown query kind %d", q.Kind)
	}
	return answer(r, q)
}

// applyDropResource removes a resource's data from the tablet for good. Its
// mark makes every later command on it answer StatusGone.
func applyDropResource(m *Machine, tx *Tx) (model.Result, error) {
	id := tx.Command.Resource
	lo, hi := keys.ResourceSpan(id, m.lo, m.hi)
	tx.DeleteRange(lo, hi)
	tx.Set(keys.Dropped(m.tablet, id), binary.BigEndian.AppendUint64(nil, uint64(tx.Command.Stamp)))
	m.dropped[id] = true
	m.heads.forget()
	tx.Wake = true
	m.changes.dropTable(tx, id)
	return model.Result{}, m.changes.dropReader(tx, id)
}

// scan calls f for every key in [lo, hi).
func scan(r Reader, lo, hi []byte, f func(key, value []byte) error) error {
	it, err := r.Scan(lo, hi, false)
	if err != nil {
		return err
	}
	for it.Next() {
		if err := f(it.Key(), it.Value()); err != nil {
			_ = it.Close() // the first error is the one to report
			return err
		}
	}
	return it.Close()
}
