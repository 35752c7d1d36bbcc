package region

import (
	"context"
	"encoding/json"
	"errors"
	"path"
	"slices"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// worker ships the changes of one tablet over one link, one message at a time:
// that keeps the order of each key. Two workers of one place, around a change
// of leader, do no harm.
type worker struct {
	engine *Engine
	number uint64 // grows with every worker of the engine
	ctx    context.Context
	cancel context.CancelFunc

	mu    sync.Mutex // guards what follows
	job   job
	nudge context.CancelFunc // ends the wait for a change; nil when there is none

	// What follows is of run's goroutine only.
	known    bool               // what follows is read
	version  uint64             // of the link that it was read for
	settled  uint64             // of the link whose request to sync is done here
	upTo     model.ChangeNumber // read and arrived
	total    uint64             // of upTo
	tables   []copying          // watched, by id
	selected uint64             // the catalog's version that the tables were chosen from
	// told is the version of each queue and stream that the other region has
	// heard of; never ranged over.
	told    map[model.ResourceID]uint64
	named   bool                      // it knows which ones the link selects
	gone    map[heldUnitKey]*heldGone // of what is held; nil: not read
	retell  bool                      // it may know that no longer
	passive bool                      // this region had not the writes of them then
	filter  filter
}

func (e *Engine) startWorker(j job) *worker {
	e.started++
	w := &worker{engine: e, number: e.started, job: j}
	w.ctx, w.cancel = context.WithCancel(e.ctx)
	e.tasks.Go(w.run)
	return w
}

// update tells the worker what the catalog says now, and whether that is news.
func (w *worker) update(j job, news bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.job = j
	if news && w.nudge != nil {
		w.nudge()
	}
}

func (w *worker) current() job {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.job
}

// run ships until the worker is stopped.
func (w *worker) run() {
	defer w.engine.noteProblem(w.current().place, nil)
	defer w.stopped()
	retry := firstRetry
	for w.ctx.Err() == nil {
		j := w.current()
		if j.spec.Paused || j.spec.Held {
			var why error
			if j.spec.Held {
				why = errHeld
			}
			w.engine.noteProblem(j.place, why)
			w.stopped()
			w.engine.sleep(w.ctx, superviseEvery)
			continue
		}
		did, err := w.step(&j)
		switch {
		case w.ctx.Err() != nil:
			return
		case err != nil:
			w.known = false // what was in memory may be stale
			if unheard := (*silence)(nil); !errors.As(err, &unheard) {
				w.retell = true // it may have lost what it was told of
			}
			if w.engine.noteProblem(j.place, err) {
				w.engine.log.Warn("cannot ship to another region; trying again", "link", j.name, "tablet", j.tablet, "error", err)
			}
			w.engine.sleep(w.ctx, retry)
			if retry = min(2*retry, maxRetry); j.spec.Mode.Waits() {
				retry = min(retry, maxSyncRetry)
			}
		default:
			w.engine.noteProblem(j.place, nil)
			w.tell(&j, w.upTo)
			if retry = firstRetry; !did {
				w.idle(&j)
			}
		}
	}
}

// idle waits until there is something to do: an entry of the log behind those
// that were read, another job, or a table that may be selected.
func (w *worker) idle(j *job) {
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	w.setNudge(cancel)
	defer w.setNudge(nil)
	if w.current().version != j.version {
		return // it came before the nudge was there
	}
	if j.spec.Mode == model.LinkManual || !w.known || w.selected != w.engine.cluster.Catalog().Version {
		w.engine.sleep(ctx, superviseEvery)
		return
	}
	q := model.ChangesQuery{Tablet: j.tablet, After: w.upTo, MaxBytes: 1}
	_, ready, err := w.engine.cluster.ReadWhenReady(ctx, &model.Query{Kind: model.QueryChanges, Slot: model.Slot(j.lo), Body: q.Append(nil)}, idleWait)
	switch {
	case err != nil && ctx.Err() == nil:
		w.engine.sleep(ctx, superviseEvery) // no leader: the next step says so
	case ready && !j.spec.Mode.Waits():
		w.engine.sleep(ctx, gatherPause)
	}
}

// tell tells those who wait for the link how far it has come.
func (w *worker) tell(j *job, upTo model.ChangeNumber) {
	if j.spec.Mode == model.LinkManual {
		w.stopped()
		return
	}
	s := model.Shipped{Worker: w.number, UpTo: upTo, Tables: make([]model.ShippedTable, 0, len(w.tables))}
	for i := range w.tables {
		t := &w.tables[i]
		units := isUnits(t.kind)
		copied := t.done && t.fits(&w.filter)
		if copied || !units { // what happens to a unit before it is copied, its copy brings
			s.Tables = append(s.Tables, model.ShippedTable{ID: t.id, Copied: copied})
		}
	}
	w.engine.node.Shipped(j.link, j.tablet, s)
}

// stopped tells them that this worker ships no more, or not now.
func (w *worker) stopped() {
	j := w.current()
	w.engine.node.Shipped(j.link, j.tablet, model.Shipped{Worker: w.number, Stopped: true})
}

func (w *worker) setNudge(nudge context.CancelFunc) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.nudge = nudge
}

// step does a little of everything that is to be done, and reports whether
// anything was.
func (w *worker) step(j *job) (did bool, err error) {
	manual := j.spec.Mode == model.LinkManual
	if manual && (w.settled == j.version || len(j.spec.Targets) == 0) {
		return false, nil
	}
	if !w.known || w.version != j.version {
		if err := w.recall(j); err != nil {
			return false, err
		}
	}
	if w.selected != w.engine.cluster.Catalog().Version {
		if err := w.choose(j); err != nil {
			return false, err
		}
	}
	if manual && w.reached(j) {
		w.settled = j.version
		return false, nil
	}
	if err := w.rest(j); err != nil {
		return false, err
	}
	shipped, err := w.ship(j)
	if err != nil {
		return false, err
	}
	copied, err := w.copySome(j)
	return shipped || copied, err
}

// reached reports whether a manual link has done what was last asked of it.
func (w *worker) reached(j *job) bool {
	for _, t := range j.spec.Targets {
		if t.Tablet == j.tablet {
			return w.upTo >= t.UpTo && !w.copies()
		}
	}
	return true
}

// recall reads how far the link has come in this tablet.
func (w *worker) recall(j *job) error {
	s, err := w.engine.readerState(w.ctx, j.place, j.lo)
	if err != nil {
		return err
	}
	w.upTo, w.total, w.tables, w.selected, w.gone = s.UpTo, s.Total, nil, 0, nil
	if w.told == nil || w.retell || w.version != j.version {
		w.told, w.named, w.retell = map[model.ResourceID]uint64{}, false, false
	}
	for _, t := range s.Tables {
		c, err := recallCopy(&t)
		if err != nil {
			return err
		}
		if r, ok := w.engine.cluster.Catalog().ResourceByID(c.id); ok {
			c.kind = r.Kind
		}
		w.tables = append(w.tables, c)
	}
	w.filter, err = newFilter(&j.spec)
	w.known, w.version = err == nil, j.version
	return err
}

// readerState reads where a link is in a tablet; all is zero before it watches
// its first table there.
func (e *Engine) readerState(ctx context.Context, p place, slot uint32) (s model.ReaderState, err error) {
	q := model.ReaderQuery{Tablet: p.tablet, Reader: p.link}
	res, err := e.read(ctx, &model.Query{Kind: model.QueryReader, Slot: model.Slot(slot), Body: q.Append(nil)}, false)
	if err != nil || res.Status == model.StatusNotFound {
		return s, err
	}
	return s, decode(res.Body, &s)
}

const clusterTimeout = 10 * time.Second

func (e *Engine) read(ctx context.Context, q *model.Query, strong bool) (model.Result, error) {
	ctx, cancel := e.within(ctx, clusterTimeout)
	defer cancel()
	return e.cluster.Read(ctx, q, strong)
}

func (e *Engine) propose(ctx context.Context, cmd *model.Command) (model.Result, error) {
	ctx, cancel := e.within(ctx, clusterTimeout)
	defer cancel()
	return e.cluster.Propose(ctx, cmd)
}

// choose watches the tables that the link selects now, and no others. The other
// side has them, and keeps their tombstones, before the first is watched here.
// Before a table is let go, whose deletes then leave nothing, the catalog is
// surely not older than the one that it was chosen by.
func (w *worker) choose(j *job) error {
	c := w.engine.cluster.Catalog()
	if slices.ContainsFunc(w.tables, func(t copying) bool { return !chosen(c, j, t.id) }) {
		if err := w.engine.cluster.SyncCatalog(w.ctx); err != nil {
			return err
		}
		c = w.engine.cluster.Catalog()
	}
	w.keepPassive(j)
	var fresh []model.Resource
	var units []model.Resource // that are to be told of
	for _, kind := range shippedKinds {
		for r := range c.Resources.Of(kind) {
			_, known := w.table(r.ID)
			if !known && chosen(c, j, r.ID) {
				fresh = append(fresh, *r)
			}
			if isUnits(kind) && chosen(c, j, r.ID) && w.told[r.ID] != r.Version {
				units = append(units, *r)
			}
		}
	}
	var left []copying
	for _, t := range w.tables {
		if chosen(c, j, t.id) {
			left = append(left, t)
			continue
		}
		off := model.Watch{Reader: j.link, Off: true}
		if err := w.watch(j, t.id, &off); err != nil {
			return err
		}
	}
	w.tables = left
	// Tables first: what several regions write should be followed as soon as it can be.
	at := slices.IndexFunc(fresh, func(r model.Resource) bool { return isUnits(r.Kind) })
	if at < 0 {
		at = len(fresh)
	}
	if err := w.begin(j, fresh[:at]); err != nil {
		return err
	}
	if err := w.tellUnits(j, units); err != nil {
		return err
	}
	if err := w.begin(j, fresh[at:]); err != nil {
		return err
	}
	w.selected = c.Version
	return nil
}

// shippedKinds are the kinds of resource that a link ships.
var shippedKinds = []model.ResourceKind{model.KindTable, model.KindQueue, model.KindStream}

// chosen reports whether a link selects a resource, by a catalog.
func chosen(c *model.Catalog, j *job, id model.ResourceID) bool {
	r, ok := c.ResourceByID(id)
	return ok && j.spec.Ships(r)
}

// tablesAtOnce bounds the tables that one request has made ready: each takes
// the other side some commands, and the request has to end in its time.
const tablesAtOnce = 16

// begin has the other side make tables ready and watches them here, some at a
// time; what was begun stays so when a later part fails.
func (w *worker) begin(j *job, fresh []model.Resource) error {
	for part := range slices.Chunk(fresh, tablesAtOnce) {
		if err := w.beginPart(j, part); err != nil {
			return err
		}
	}
	return nil
}

func (w *worker) beginPart(j *job, fresh []model.Resource) error {
	var req tablesRequest
	for _, r := range fresh {
		if r.Kind != model.KindTable {
			continue
		}
		res, err := w.engine.resolutionOf(r.ID)
		if err != nil {
			return err
		}
		req.Tables = append(req.Tables, namedTable{r.Name, r.Spec, res.agreed})
	}
	if len(req.Tables) > 0 {
		if _, err := w.call(j, OpTables, req.Append(nil)); err != nil {
			return err
		}
	}
	first := len(w.tables) == 0
	for _, r := range fresh {
		c := copying{id: r.ID, kind: r.Kind}
		if !isUnits(r.Kind) {
			c.filter = w.filter.sum
		}
		if err := w.watch(j, r.ID, w.watchOf(j, &c)); err != nil {
			return err
		}
		w.tables = append(w.tables, c)
	}
	if first {
		// The log has been written for this reader only since the first watch.
		s, err := w.engine.readerState(w.ctx, j.place, j.lo)
		if err != nil {
			return err
		}
		w.upTo, w.total = max(w.upTo, s.UpTo), max(w.total, s.Total)
	}
	return nil
}

// watch proposes what the link wants of a table in this tablet.
func (w *worker) watch(j *job, table model.ResourceID, body *model.Watch) error {
	body.Version = j.version
	res, err := w.engine.propose(w.ctx, &model.Command{Kind: model.CmdWatch, Resource: table, Slot: model.Slot(j.lo), Body: body.Append(nil)})
	if err == nil && res.Status == model.StatusStale {
		return model.Errorf(model.ErrUnavailable, "the link was changed meanwhile")
	}
	if err == nil && res.Status != model.StatusOK && !body.Off {
		err = model.Errorf(model.ErrNotFound, "the link or one of its tables was removed")
	}
	return err
}

func (w *worker) table(id model.ResourceID) (*copying, bool) {
	for i := range w.tables {
		if w.tables[i].id == id {
			return &w.tables[i], true
		}
	}
	return nil, false
}

// validPattern reports whether a pattern is a name, perhaps with a * at its end.
func validPattern(p string) bool {
	name := strings.TrimSuffix(p, "*")
	ok, err := path.Match(name, name) // what is special to a pattern is not in a name
	return p != "" && len(p) <= 255 && ok && err == nil && !strings.ContainsAny(name, "* ")
}

// filter is a link's condition on items.
type filter struct {
	sum       uint64 // names the condition; 0 is none
	condition *expr.Condition
}

// newFilter compiles a link's condition. Errors: ErrValidation.
func newFilter(s *model.LinkSpec) (f filter, err error) {
	if s.Where == "" {
		return f, nil
	}
	var texts map[string]any
	if s.Values != "" {
		if err := json.Unmarshal([]byte(s.Values), &texts); err != nil {
			return f, model.Errorf(model.ErrValidation, "the condition's values are not a JSON object: %v", err)
		}
	}
	var values model.Item
	for name, v := range texts {
		value, err := plainValue(v)
		if err != nil {
			return f, err
		}
		values = append(values, model.Attr{Name: name, Value: value})
	}
	values, _ = model.NewItem(values)
	params, err := expr.NewParams(nil, values)
	if err != nil {
		return f, err
	}
	if f.condition, err = expr.ParseCondition(s.Where, params); err != nil {
		return f, err
	}
	f.sum = uint64(model.SlotOf([]byte(s.Where+"\x00"+s.Values))) + 1
	return f, params.CheckUnused()
}

// encoded is the condition's encoded form; empty for none.
func (f *filter) encoded() []byte {
	if f.condition == nil {
		return nil
	}
	return f.condition.Append(nil)
}

func plainValue(v any) (model.Value, error) {
	switch v := v.(type) {
	case string:
		return model.StringValue(v), nil
	case bool:
		return model.BoolValue(v), nil
	case float64:
		text, _ := json.Marshal(v)
		return model.NumberValue(string(text))
	default:
		return model.Value{}, model.Errorf(model.ErrValidation, "a condition's value is a text, a number, or true or false")
	}
}

// takes reports whether an encoded item passes.
func (f *filter) takes(encoded []byte) (bool, error) {
	if f.condition == nil {
		return true, nil
	}
	d := model.NewDecoder(encoded)
	item := model.DecodeItem(d)
	return f.condition.Eval(item), d.Done()
}
