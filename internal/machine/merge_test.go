package machine

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
)

// What follows is the specification of the merge policies, written in another
// way than the machine does it: a list of all writes of an item with what each
// knew of, from which everything is worked out by looking at the whole list.

// specWrite is one write in the specification.
type specWrite struct {
	version model.Version
	knew    map[int]bool // the writes, by their place in the list, that it knew of
	whole   bool         // a put, or a delete
	delete  bool
	sets    map[string]string   // attributes replaced; "" is removed
	adds    map[string]int      // added to numbers
	join    map[string][]string // members added to sets
	leave   map[string][]string
}

// spec is all writes of one item.
type spec struct {
	policy model.Policy
	rank   []model.RegionID
	writes []specWrite
}

// shows is the item that a region shows which knows of some of the writes; nil
// is no item.
func (s *spec) shows(knows map[int]bool) map[string]string {
	last := s.highest(knows, func(*specWrite) bool { return true })
	if last < 0 {
		return nil
	}
	if s.policy == model.PolicyLastWriter {
		return s.alone(last)
	}
	if s.policy == model.PolicyRegions {
		return s.alone(s.preferred(knows))
	}
	item := map[string]string{}
	for _, name := range []string{"n", "m", "a", "b", "t"} {
		if v := s.attr(knows, name); v != "" {
			item[name] = v
		}
	}
	if s.writes[last].delete && (s.policy != model.PolicyCounter || !s.lateAddition(knows)) {
		return nil
	}
	return item
}

// highest is the write with the highest version among those that are known and
// chosen; -1 is none.
func (s *spec) highest(knows map[int]bool, chosen func(*specWrite) bool) int {
	best := -1
	for i := range s.writes {
		if knows[i] && chosen(&s.writes[i]) && (best < 0 || s.writes[i].version.Compare(s.writes[best].version) > 0) {
			best = i
		}
	}
	return best
}

// alone is what a write left where items are not merged.
func (s *spec) alone(at int) map[string]string {
	w := &s.writes[at]
	if w.delete {
		return nil
	}
	if w.whole {
		return w.sets
	}
	panic("BUG: the specification has whole writes only here")
}

// preferred is the write that is shown of those that no known one knew of.
func (s *spec) preferred(knows map[int]bool) int {
	rank := func(i int) int {
		if at := slices.Index(s.rank, s.writes[i].version.Region); at >= 0 {
			return at
		}
		return len(s.rank)
	}
	var alive []int // no known write knew of it
	lastPut := -1
	for i := range s.writes {
		overwritten := !knows[i]
		for k := range s.writes {
			overwritten = overwritten || knows[k] && s.writes[k].knew[i]
		}
		if overwritten {
			continue
		}
		alive = append(alive, i)
		if !s.writes[i].delete && (lastPut < 0 || s.writes[i].version.Compare(s.writes[lastPut].version) > 0) {
			lastPut = i
		}
	}
	best := -1
	for _, i := range alive {
		if s.writes[i].delete && lastPut >= 0 && s.writes[lastPut].version.Compare(s.writes[i].version) > 0 {
			continue // a delete gives way to what is later
		}
		if best < 0 || rank(i) < rank(best) || rank(i) == rank(best) && s.writes[i].version.Compare(s.writes[best].version) > 0 {
			best = i
		}
	}
	return best
}

// replaces reports whether a write replaces an attribute, or removes it.
func (w *specWrite) replaces(name string) bool {
	_, sets := w.sets[name]
	return w.whole || sets
}

func (s *spec) attr(knows map[int]bool, name string) string {
	if s.policy == model.PolicyUnion && name == "t" {
		return s.members(knows)
	}
	set := s.highest(knows, func(w *specWrite) bool { return w.replaces(name) })
	text := ""
	if set >= 0 {
		text = s.writes[set].sets[name]
	}
	if s.policy != model.PolicyCounter || name != "n" && name != "m" {
		return text
	}
	sum, there := 0, text != ""
	if there {
		sum, _ = strconv.Atoi(text)
	}
	for i := range s.writes {
		if by, adds := s.writes[i].adds[name]; adds && knows[i] && !s.takenAway(knows, i, name) {
			sum, there = sum+by, true
		}
	}
	if !there {
		return ""
	}
	return strconv.Itoa(sum)
}

// takenAway reports whether a write that replaced the attribute knew of an
// addition.
func (s *spec) takenAway(knows map[int]bool, addition int, name string) bool {
	for i := range s.writes {
		if knows[i] && s.writes[i].replaces(name) && s.writes[i].knew[addition] {
			return true
		}
	}
	return false
}

func (s *spec) lateAddition(knows map[int]bool) bool {
	for i := range s.writes {
		for name := range s.writes[i].adds {
			if knows[i] && !s.takenAway(knows, i, name) {
				return true
			}
		}
	}
	return false
}

// members is the set by the last word about each member. A put says nothing of
// the members that it leaves as they are; the test notes for it which it adds
// and takes away.
func (s *spec) members(knows map[int]bool) string {
	var in []string
	for _, m := range []string{"u", "v", "w", "x"} {
		last := s.highest(knows, func(w *specWrite) bool {
			return slices.Contains(w.join["t"], m) || slices.Contains(w.leave["t"], m) || w.whole && w.sets["t"] == "" || w.sets["t"] == "gone"
		})
		if last >= 0 && slices.Contains(s.writes[last].join["t"], m) {
			in = append(in, m)
		}
	}
	return strings.Join(in, ",")
}

// mergeRig is three regions that write one item.
type mergeRig struct {
	*regions
	spec  spec
	knows []map[int]bool   // by region, the writes that it knows of
	told  [][]map[int]bool // by region and number in its log, what it knew then
	rng   *rand.Rand
	met   []uint64             // conflicts that each region should have counted
	floor []model.ChangeNumber // by region: its log begins behind it
	swept bool                 // some region has forgotten deletes: others may count what is none
}

const mergeKey = "k"

func newMergeRig(t testing.TB, policy model.Policy, seed uint64, n int) *mergeRig {
	g := &mergeRig{regions: &regions{}, rng: rand.New(rand.NewPCG(seed, 77)), told: make([][]map[int]bool, n), met: make([]uint64, n), floor: make([]model.ChangeNumber, n)}
	g.spec = spec{policy: policy, rank: []model.RegionID{selfOf(1), selfOf(2)}}
	for range n {
		r := newRig()
		watchTable(t, r, model.Watch{Reader: 9, Log: true, Keep: true, Policy: policy})
		g.rigs, g.cursors, g.knows = append(g.rigs, r), append(g.cursors, make([]model.ChangeNumber, n)), append(g.knows, map[int]bool{})
	}
	return g
}

// write has a region do something to the item, and notes it in the
// specification.
func (g *mergeRig) write(t testing.TB, at int) {
	r := g.rigs[at]
	r.stamp += model.Stamp(g.rng.IntN(3)) // clocks differ
	w := specWrite{knew: map[int]bool{}, sets: map[string]string{}, adds: map[string]int{}, join: map[string][]string{}, leave: map[string][]string{}}
	for k := range g.knows[at] {
		w.knew[k] = true
	}
	now := g.spec.shows(g.knows[at])
	whole := g.spec.policy == model.PolicyLastWriter || g.spec.policy == model.PolicyRegions
	switch pick := g.rng.IntN(8); {
	case pick == 0:
		w.whole, w.delete = true, true
		deleteText(t, r, mergeKey)
	case pick == 1 || whole:
		g.put(t, r, &w, now)
	case !g.update(t, r, &w, now):
		return
	}
	w.version = model.Version{Stamp: r.stamp, Region: selfOf(at)}
	g.spec.writes = append(g.spec.writes, w)
	place := len(g.spec.writes) - 1
	g.knows[at][place] = true
	g.note(at)
	g.check(t, at, fmt.Sprintf("after its write %d, %+v", place, w))
}

// put replaces the item.
func (g *mergeRig) put(t testing.TB, r *rig, w *specWrite, now map[string]string) {
	w.whole = true
	for _, name := range []string{"n", "a", "b"} {
		if g.rng.IntN(2) == 0 {
			w.sets[name] = strconv.Itoa(g.rng.IntN(90))
		}
	}
	if members := g.someMembers(); g.spec.policy == model.PolicyUnion && len(members) > 0 && g.rng.IntN(2) == 0 {
		g.diff(w, now, members)
	}
	item := g.item(t, w.sets, w.sets["t"])
	put := model.PutItem{Key: itemKey(item), Size: uint64(item.Size()), Item: model.AppendItem(nil, item)}
	if s := change(t, r, model.CmdPutItem, watchedTable, put.Append(nil), nil); s != model.StatusOK {
		t.Fatalf("put: status %d", s)
	}
}

// diff notes what a set adds to the one that is there and takes away.
func (g *mergeRig) diff(w *specWrite, now map[string]string, members []string) {
	w.sets["t"] = strings.Join(members, ",")
	before := strings.Split(now["t"], ",")
	for _, m := range []string{"u", "v", "w", "x"} {
		had, has := slices.Contains(before, m), slices.Contains(members, m)
		if has && !had {
			w.join["t"] = append(w.join["t"], m)
		} else if had && !has {
			w.leave["t"] = append(w.leave["t"], m)
		}
	}
}

func (g *mergeRig) someMembers() (all []string) {
	for _, m := range []string{"u", "v", "w", "x"} {
		if g.rng.IntN(3) == 0 {
			all = append(all, m)
		}
	}
	return all
}

func (g *mergeRig) item(t testing.TB, attrs map[string]string, set string) model.Item {
	plain := map[string]any{"p": mergeKey}
	for name, v := range attrs {
		if name != "t" {
			n, _ := strconv.Atoi(v)
			plain[name] = n
		}
	}
	text, err := json.Marshal(plain)
	if err != nil {
		t.Fatal(err)
	}
	item := jsonItem(t, string(text))
	if set != "" {
		item = item.With("t", textSet(strings.Split(set, ",")))
	}
	return item
}

func textSet(members []string) model.Value {
	var list []model.Value
	for _, m := range members {
		list = append(list, model.StringValue(m))
	}
	set, _ := model.NewSet(model.KindSS, list)
	return set
}

// update changes one or two attributes.
func (g *mergeRig) update(t testing.TB, r *rig, w *specWrite, now map[string]string) (wrote bool) {
	var parts []string
	var values model.Item
	value := func(v model.Value) string {
		name := fmt.Sprint(":v", len(values))
		values = append(values, model.Attr{Name: name, Value: v})
		return name
	}
	by := g.rng.IntN(9) - 3
	number := model.Value{Kind: model.KindN, Str: strconv.Itoa(by)}
	switch counter := []string{"n", "m"}[g.rng.IntN(2)]; {
	case g.spec.policy == model.PolicyCounter && g.rng.IntN(3) == 0:
		w.adds[counter] = by
		parts = append(parts, "ADD "+counter+" "+value(number))
	case g.spec.policy == model.PolicyCounter && g.rng.IntN(2) == 0:
		w.adds[counter] = by
		zero := value(model.Value{Kind: model.KindN, Str: "0"})
		parts = append(parts, fmt.Sprintf("SET %s = %s + if_not_exists(%s, %s)", counter, value(number), counter, zero))
	case g.spec.policy == model.PolicyUnion && g.rng.IntN(3) > 0:
		members := g.someMembers()
		if len(members) == 0 {
			members = []string{"u"}
		}
		switch g.rng.IntN(4) {
		case 0:
			w.leave["t"] = members
			parts = append(parts, "DELETE t "+value(textSet(members)))
		case 1:
			g.diff(w, now, members)
			delete(w.sets, "t")
			parts = append(parts, "SET t = "+value(textSet(members)))
		case 2:
			w.sets["t"] = "gone"
			parts = append(parts, "REMOVE t")
		default:
			w.join["t"] = members
			parts = append(parts, "ADD t "+value(textSet(members)))
		}
	case g.rng.IntN(3) == 0:
		name := []string{"n", "a", "b"}[g.rng.IntN(3)]
		w.sets[name] = ""
		parts = append(parts, "REMOVE "+name)
	default:
		w.sets["a"] = strconv.Itoa(g.rng.IntN(90))
		parts = append(parts, "SET a = "+value(model.Value{Kind: model.KindN, Str: w.sets["a"]}))
		if g.rng.IntN(2) == 0 {
			w.sets["n"] = strconv.Itoa(g.rng.IntN(90))
			parts[0] += ", n = " + value(model.Value{Kind: model.KindN, Str: w.sets["n"]})
		}
	}
	params, err := expr.NewParams(nil, values)
	if err != nil {
		t.Fatal(err)
	}
	u, err := expr.ParseUpdate(strings.Join(parts, " "), params)
	if err != nil {
		t.Fatal(parts, err)
	}
	keyItem := jsonItem(t, `{"p":"`+mergeKey+`"}`)
	up := model.UpdateItem{Key: itemKey(keyItem), KeyItem: model.AppendItem(nil, keyItem), Update: u.Append(nil)}
	if s := change(t, r, model.CmdUpdateItem, watchedTable, up.Append(nil), nil); s != model.StatusOK {
		t.Fatalf("update %v: status %d", parts, s)
	}
	return now != nil || !u.OnlyRemoves() // what only takes away makes no item
}

// check compares what a region shows with the specification.
func (g *mergeRig) check(t testing.TB, at int, when string) {
	t.Helper()
	want := g.spec.shows(g.knows[at])
	key := itemKey(jsonItem(t, `{"p":"`+mergeKey+`"}`))
	got, err := readItem(g.rigs[at].view, watchedTable, key)
	if err != nil {
		t.Fatal(err)
	}
	if !got.found && want == nil {
		return
	}
	item, err := got.decode()
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]string{}
	for _, a := range item {
		switch {
		case a.Name == "p":
		case a.Value.Kind == model.KindN:
			shown[a.Name] = a.Value.Str
		default:
			var members []string
			for _, m := range a.Value.List {
				members = append(members, m.Str)
			}
			shown[a.Name] = strings.Join(members, ",")
		}
	}
	if fmt.Sprint(shown) != fmt.Sprint(want) || got.found != (want != nil) {
		var state model.MergeState
		if len(got.Merge) > 0 {
			state, _ = bodyOf[model.MergeState](got.Merge)
		}
		t.Fatalf("region %d, which knows %v, shows %v (%v), should %v, %s\n%+v\n%v %v %+v", at, g.knows[at], shown, got.found, want, when, g.spec.writes, got.Version(), got.History, state)
	}
}

// note remembers what a region knows at each new entry of its log.
func (g *mergeRig) note(at int) {
	for last := int(g.rigs[at].machine.changes.last); len(g.told[at]) < last; {
		g.told[at] = append(g.told[at], maps.Clone(g.knows[at]))
	}
}

// tell ships one entry of a region's log, the next one or one that has arrived
// before. It reports whether there was one.
func (g *mergeRig) tell(t testing.TB, from, to int, again bool) bool {
	after := g.cursors[from][to]
	if again && after > g.floor[from] {
		after = g.floor[from] + model.ChangeNumber(g.rng.IntN(int(after-g.floor[from])))
	}
	log := logOf(t, g.rigs[from], after)
	if len(log) == 0 {
		return false
	}
	c := log[0].Change
	joined := c.Joined()
	c.Rename(0, selfOf(from))
	g.cursors[from][to] = max(g.cursors[from][to], log[0].Number)
	if c.Version.Region == selfOf(to) && !joined {
		return true
	}
	g.rigs[to].stamp = max(g.rigs[to].stamp, c.Newest())
	news := g.told[from][log[0].Number-1]
	g.expect(to, news)
	maps.Copy(g.knows[to], news)
	var res model.ApplyChangesResult
	batch := model.ApplyChanges{Self: selfOf(to), Policy: g.spec.policy, Rank: g.spec.rank, Keys: []string{"p"}, Changes: []model.Change{c}}
	if s := change(t, g.rigs[to], model.CmdApplyChanges, watchedTable, batch.Append(nil), &res); s != model.StatusOK {
		t.Fatalf("apply: status %d", s)
	}
	if got := g.rigs[to].machine.changes.conflicts.head.Counted; got != g.met[to] && !g.swept {
		t.Fatalf("region %d has counted %d conflicts, should %d: %+v", to, got, g.met[to], res)
	}
	g.note(to)
	g.check(t, to, fmt.Sprintf("after it heard entry %d of region %d", log[0].Number, from))
	return true
}

// expect counts a conflict when a region hears what knows something that it
// does not know, and does not know everything that it knows.
func (g *mergeRig) expect(to int, news map[int]bool) {
	within := func(a, b map[int]bool) bool {
		for k := range a {
			if !b[k] {
				return false
			}
		}
		return true
	}
	theirs, ours := g.spec.shows(news), g.spec.shows(g.knows[to])
	same := maps.Equal(theirs, ours) && (theirs == nil) == (ours == nil) && g.spec.policy != model.PolicyCounter
	if !same && !within(news, g.knows[to]) && !within(g.knows[to], news) {
		g.met[to]++
	}
}

// TestMergePoliciesConverge has three regions write one item at random and tell
// each other in any order, repeatedly and by two ways. After every step each
// region shows what the specification says of the writes that it knows of, and
// has counted each conflict once; in the end all show the same.
func TestMergePoliciesConverge(t *testing.T) {
	for _, policy := range []model.Policy{model.PolicyFields, model.PolicyCounter, model.PolicyUnion, model.PolicyRegions} {
		t.Run(policy.String(), func(t *testing.T) {
			conflicts := uint64(0)
			for seed := range uint64(40) {
				conflicts += mergeRun(t, policy, seed, 3)
			}
			for seed := range uint64(10) {
				conflicts += mergeRun(t, policy, seed, 4)
			}
			if conflicts < 200 {
				t.Errorf("%d conflicts: the test shows little", conflicts)
			}
		})
	}
}

func mergeRun(t *testing.T, policy model.Policy, seed uint64, n int) (conflicts uint64) {
	g := newMergeRig(t, policy, seed, n)
	defer func() {
		if t.Failed() {
			t.Logf("seed %d", seed)
		}
	}()
	g.mix(t, 60)
	g.rest(t)
	for at := range n {
		conflicts += g.met[at]
	}
	return conflicts
}

// mix has regions write and tell each other at random.
func (g *mergeRig) mix(t *testing.T, steps int) {
	n := len(g.rigs)
	for range steps {
		at := g.rng.IntN(n)
		switch g.rng.IntN(7) {
		case 0, 1:
			g.write(t, at)
		case 2:
			if err := g.rigs[at].machine.Load(g.rigs[at].view); err != nil {
				t.Fatal(err)
			}
		default:
			g.tell(t, at, (at+1+g.rng.IntN(n-1))%n, g.rng.IntN(3) == 0)
		}
	}
}

// rest ships until nobody has any news.
func (g *mergeRig) rest(t *testing.T) {
	n := len(g.rigs)
	for more := true; more; {
		more = false
		for from := range n {
			for to := range n {
				more = from != to && g.tell(t, from, to, false) || more
			}
		}
	}
	for at := range n {
		if len(g.knows[at]) != len(g.spec.writes) {
			t.Fatalf("region %d knows %d of %d writes when all links rest", at, len(g.knows[at]), len(g.spec.writes))
		}
	}
}

// TestMergeAfterSweep has some of the regions forget their deletes, when all
// have heard of them, before they write on: whoever has forgotten and whoever
// has not show the same, which is what was written.
func TestMergeAfterSweep(t *testing.T) {
	for _, policy := range []model.Policy{model.PolicyFields, model.PolicyCounter, model.PolicyUnion, model.PolicyRegions} {
		t.Run(policy.String(), func(t *testing.T) {
			forgot := 0
			for seed := range uint64(60) {
				g := newMergeRig(t, policy, seed, 3)
				g.swept = true
				for range 4 {
					g.mix(t, 25)
					g.rest(t)
					for at, r := range g.rigs {
						g.floor[at] = r.machine.changes.last // nothing older is under way any more
						if g.rng.IntN(2) == 0 {
							continue
						}
						before := len(r.view.keys)
						g.forget(t, at)
						if len(r.view.keys) < before {
							forgot++
						}
					}
				}
				g.mix(t, 25)
				g.rest(t)
			}
			if forgot == 0 {
				t.Error("nothing was forgotten: the test shows nothing")
			}
		})
	}
}

// forget advances a region's reader, so that tombstones go, and the log.
func (g *mergeRig) forget(t *testing.T, at int) {
	c := &g.rigs[at].machine.changes
	a := model.Advance{UpTo: c.last, Total: c.total}
	if s := change(t, g.rigs[at], model.CmdAdvance, 9, a.Append(nil), nil); s != model.StatusOK {
		t.Fatalf("advance: status %d", s)
	}
}

// TestPolicySetInOneRegionFirst has a region that does not know yet of the
// table's policy write an item that another one has added to: what it has seen
// does not count again, what it has not seen does.
func TestPolicySetInOneRegionFirst(t *testing.T) {
	g := newMergeRig(t, model.PolicyCounter, 1, 2)
	off := model.Watch{Reader: 9, Policy: model.PolicyLastWriter, PolicyOnly: true}
	change(t, g.rigs[1], model.CmdWatch, watchedTable, off.Append(nil), nil)
	if s := readerState(t, g.rigs[1], 9); len(s.Tables) != 1 || !s.Tables[0].Log || s.Tables[0].Policy != model.PolicyLastWriter {
		t.Fatalf("%+v", s)
	}
	g.swept = true // conflicts are not counted here
	params, err := expr.NewParams(nil, model.Item{{Name: ":n", Value: model.Value{Kind: model.KindN, Str: "1"}}})
	if err != nil {
		t.Fatal(err)
	}
	u, err := expr.ParseUpdate("ADD n :n", params)
	if err != nil {
		t.Fatal(err)
	}
	keyItem := jsonItem(t, `{"p":"`+mergeKey+`"}`)
	add := func(at int) {
		t.Helper()
		up := model.UpdateItem{Key: itemKey(keyItem), KeyItem: model.AppendItem(nil, keyItem), Update: u.Append(nil)}
		change(t, g.rigs[at], model.CmdUpdateItem, watchedTable, up.Append(nil), nil)
	}
	tell := func(from, to int) {
		t.Helper()
		log := logOf(t, g.rigs[from], g.cursors[from][to])
		for _, e := range log {
			e.Rename(0, selfOf(from))
			g.cursors[from][to] = e.Number
			g.rigs[to].stamp = max(g.rigs[to].stamp, e.Newest())
			batch := model.ApplyChanges{Self: selfOf(to), Policy: model.PolicyCounter, Keys: []string{"p"}, Changes: []model.Change{e.Change}}
			change(t, g.rigs[to], model.CmdApplyChanges, watchedTable, batch.Append(nil), nil)
		}
	}
	add(0)
	tell(0, 1)
	add(1) // as a write of what it knows
	add(0)
	tell(0, 1)
	tell(1, 0)
	for at := range g.rigs {
		got, err := readItem(g.rigs[at].view, watchedTable, itemKey(keyItem))
		if err != nil {
			t.Fatal(err)
		}
		item, err := got.decode()
		if n, _ := item.Get("n"); err != nil || n.Str != "3" {
			t.Errorf("region %d shows %q after three additions: %v", at, n.Str, err)
		}
	}
}
