package sim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// mergeLoad writes items of which the regions' parts are merged: counters that
// all add to, items in which each client has fields of its own, and sets in
// which each has members of its own.
type mergeLoad struct {
	seed   uint64
	worlds []*world

	mu   sync.Mutex // guards what follows
	ops  []regionOp // on fields and members, each under a key of its own
	adds []mergeAdd
}

// mergeAdd is an addition that may have taken effect.
type mergeAdd struct {
	key     string
	unknown bool // at any time, or never
}

// mergeTables are the tables that are merged, by their policies.
var mergeTables = map[model.Policy]string{
	model.PolicyCounter: "shcounter", model.PolicyFields: "shfields", model.PolicyUnion: "shunion",
}

// mergePolicies are the keys of mergeTables, in order.
var mergePolicies = []model.Policy{model.PolicyFields, model.PolicyCounter, model.PolicyUnion}

const (
	mergeKeys   = 2 // items of each table
	mergeFields = 2 // fields and members of each client in each of them
)

// client writes in one region until it is stopped.
func (l *mergeLoad) client(id int, stop <-chan struct{}) {
	w := l.worlds[id%len(l.worlds)]
	rng := rand.New(rand.NewPCG(l.seed, 900+uint64(id)))
	for n := 1; !closed(stop); n++ {
		pause(rng, 200*time.Millisecond)
		key := fmt.Sprint("k", rng.IntN(mergeKeys))
		part := fmt.Sprintf("c%d-%d", id, rng.IntN(mergeFields))
		op := regionOp{client: id, number: n}
		var err error
		switch pick := rng.IntN(6); pick {
		case 0, 1, 2:
			err = l.update(w, rng, model.PolicyCounter, key, "ADD n :v", model.Value{Kind: model.KindN, Str: "1"})
			l.note(err, func(unknown bool) { l.adds = append(l.adds, mergeAdd{key, unknown}) })
		case 3:
			op.key, op.value = "fields/"+key+"/"+part, fmt.Sprintf("%d/%d", id, n)
			text := model.StringValue(op.value)
			expression := "SET #a = :v"
			if rng.IntN(4) == 0 {
				op.value, expression = "", "REMOVE #a"
			}
			err = l.update(w, rng, model.PolicyFields, key, expression, text, part)
			l.noteOp(err, op)
		case 4:
			// Items that this client alone writes and deletes.
			op.key = fmt.Sprintf("fields/own-%d/v", id)
			if rng.IntN(2) == 0 {
				err = l.remove(w, rng, fmt.Sprint("own-", id))
			} else {
				op.value = fmt.Sprintf("%d/%d", id, n)
				err = l.update(w, rng, model.PolicyFields, fmt.Sprint("own-", id), "SET #a = :v", model.StringValue(op.value), "v")
			}
			l.noteOp(err, op)
		default:
			op.key, op.value = "union/"+key+"/"+part, "in"
			expression := "ADD s :v"
			if rng.IntN(3) == 0 {
				op.value, expression = "", "DELETE s :v"
			}
			set, _ := model.NewSet(model.KindSS, []model.Value{model.StringValue(part)})
			err = l.update(w, rng, model.PolicyUnion, key, expression, set)
			l.noteOp(err, op)
		}
		var known *model.Error
		if err != nil && !(errors.As(err, &known) && known.Kind == model.ErrUnavailable) {
			// What is under way must be over before the next word about the key.
			time.Sleep(20*time.Second + time.Duration(rng.IntN(1000)))
		}
	}
}

// note calls keep for a write that may have taken effect.
func (l *mergeLoad) note(err error, keep func(unknown bool)) {
	var known *model.Error
	if errors.As(err, &known) && known.Kind == model.ErrUnavailable {
		return // surely not carried out
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	keep(err != nil)
}

func (l *mergeLoad) noteOp(err error, op regionOp) {
	l.note(err, func(unknown bool) {
		op.unknown = unknown
		l.ops = append(l.ops, op)
	})
}

func (l *mergeLoad) update(w *world, rng *rand.Rand, policy model.Policy, key, expression string, v model.Value, name ...string) error {
	live := w.anyNode(rng)
	if live == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	var values model.Item
	if strings.Contains(expression, ":v") {
		values = model.Item{{Name: ":v", Value: v}}
	}
	var names map[string]string
	if len(name) > 0 {
		names = map[string]string{"#a": name[0]}
	}
	params, err := expr.NewParams(names, values)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	update, err := expr.ParseUpdate(expression, params)
	if err != nil {
		panic(fmt.Sprintf("BUG: %v", err))
	}
	ctx, cancel := contextFor(9*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	_, err = live.service.UpdateItem(ctx, &service.UpdateItemRequest{
		Invocation: randomID(rng), Table: mergeTables[policy], Key: model.Item{{Name: "id", Value: text(key)}}, Update: update,
	})
	return err
}

func (l *mergeLoad) remove(w *world, rng *rand.Rand, key string) error {
	live := w.anyNode(rng)
	if live == nil {
		return model.Errorf(model.ErrUnavailable, "every node is down")
	}
	ctx, cancel := contextFor(9*time.Second + time.Duration(rng.IntN(int(time.Millisecond))))
	defer cancel()
	_, err := live.service.DeleteItem(ctx, &service.DeleteItemRequest{
		Invocation: randomID(rng), Table: mergeTables[model.PolicyFields], Key: model.Item{{Name: "id", Value: text(key)}},
	})
	return err
}

// mergedContent is what a region's merged tables hold: by counter its value, by field
// its text, by member that it is in.
func mergedContent(w *world) (map[string]string, error) {
	all := map[string]string{}
	return all, retry(func() error {
		clear(all)
		for _, policy := range mergePolicies {
			ctx, cancel := contextFor(10 * time.Second)
			page, err := w.nodes[0].live.service.Scan(ctx, &service.ScanRequest{Table: mergeTables[policy], Strong: true})
			cancel()
			if err != nil {
				return err
			}
			for _, item := range page.Items {
				id, _ := item.Get("id")
				for _, a := range item {
					switch {
					case a.Name == "id":
					case a.Value.Kind.IsSet():
						for _, m := range a.Value.List {
							all[policy.String()+"/"+id.Str+"/"+m.Str] = "in"
						}
					default:
						all[policy.String()+"/"+id.Str+"/"+a.Name] = a.Value.Str
					}
				}
			}
		}
		return nil
	})
}

// checkMerged holds the end of the merged tables to the writes: a counter to
// the additions, each once; a field and a member to its client's last word.
func checkMerged(end map[string]string, ops []regionOp, adds []mergeAdd) (failures []string) {
	rest := map[string]string{}
	for key, v := range end {
		if !strings.HasPrefix(key, "counter/") {
			rest[key] = v
		}
	}
	failures = checkEnd(rest, ops)
	least, most := map[string]int{}, map[string]int{}
	for _, a := range adds {
		most[a.key]++
		if !a.unknown {
			least[a.key]++
		}
	}
	var names []string
	for key := range most {
		names = append(names, key)
	}
	sort.Strings(names)
	for _, key := range names {
		got, err := strconv.Atoi(end["counter/"+key+"/n"])
		if missing := end["counter/"+key+"/n"] == ""; missing && least[key] == 0 {
			continue
		} else if err != nil || got < least[key] || got > most[key] {
			failures = append(failures, fmt.Sprintf("the counter %s is %q after %d additions and %d that may have been", key, end["counter/"+key+"/n"], least[key], most[key]-least[key]))
		}
	}
	return failures
}
