package sim

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anishathalye/porcupine"

	"weir.dev/weir/internal/expr"
	"weir.dev/weir/internal/model"
	"weir.dev/weir/internal/service"
)

// kv is the workload of gets, puts and conditional puts whose history must be
// linearizable.
type kv struct {
	w *world

	mu      sync.Mutex // guards what follows
	history []porcupine.Operation
	unknown int
	done    int
}

const (
	kvTable = "kv"
	kvKeys  = 3
	// Of the clients, one for each node writes and reads, and one only reads: a
	// writer on a node that is cut off waits, and would not notice stale reads.
	kvWriters = 3
	kvReaders = 3
	// kvMaxUnknown bounds the operations of unknown outcome in one history: each
	// doubles what the checker may have to try.
	kvMaxUnknown = 60
)

type kvOp uint8

const (
	opGet kvOp = iota
	opPut
	opCAS
)

// kvInput and kvOutput are one operation as the checker sees it. The value ""
// stands for no item.
type kvInput struct {
	op       kvOp
	key      int
	old, new string
}

type kvOutput struct {
	value   string // of a get
	ok      bool   // of a conditional put
	unknown bool
}

// client runs operations until stop.
func (k *kv) client(id int, stop <-chan struct{}) {
	rng := rand.New(rand.NewPCG(k.w.seed, 100+uint64(id)))
	seen := map[int]string{}
	for i := 0; !closed(stop); i++ {
		pause(rng, 80*time.Millisecond)
		in := kvInput{op: kvOp(rng.IntN(3)), key: rng.IntN(kvKeys), new: fmt.Sprintf("%d.%d", id, i)}
		in.old = seen[in.key]
		k.mu.Lock()
		full := k.unknown >= kvMaxUnknown
		k.mu.Unlock()
		if full || id >= kvWriters {
			in.op = opGet
		}
		called := k.w.elapsed()
		out, err := k.do(id, rng, in)
		returned := k.w.elapsed()
		if err == nil {
			switch {
			case in.op == opGet:
				seen[in.key] = out.value
			case in.op == opPut || out.ok:
				seen[in.key] = in.new
			}
		}
		k.note(id, in, out, err, called, returned)
	}
}

// note adds an operation to the history. What surely did not happen is left
// out; what is unknown may take effect at any time from its call on.
func (k *kv) note(client int, in kvInput, out kvOutput, err error, called, returned time.Duration) {
	k.mu.Lock()
	defer k.mu.Unlock()
	op := porcupine.Operation{ClientId: client, Input: in, Output: out, Call: int64(called), Return: int64(returned)}
	var known *model.Error
	switch {
	case err == nil:
		k.done++
	case errors.As(err, &known) && known.Kind == model.ErrUnavailable, in.op == opGet:
		return
	default:
		k.unknown++
		op.ClientId = 1000 + len(k.history) // a client of its own: it never returns
		op.Output = kvOutput{unknown: true}
		op.Return = int64(1 << 60)
	}
	k.history = append(k.history, op)
}

// do carries out one operation, retrying an unknown outcome once through
// another node with the same request id, as an SDK does.
func (k *kv) do(client int, rng *rand.Rand, in kvInput) (out kvOutput, err error) {
	invocation := randomID(rng)
	for try := 0; try < 2; try++ {
		node := k.w.nodeFor(client+try, rng)
		if node == nil {
			if try == 0 {
				err = model.Errorf(model.ErrUnavailable, "every node is down")
			}
			return out, err
		}
		var again kvOutput
		ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second+time.Duration(rng.IntN(int(time.Millisecond))))
		again, err2 := k.once(ctx, node.service, invocation, in)
		cancel()
		if err2 == nil {
			return again, nil
		}
		var known *model.Error
		unavailable := errors.As(err2, &known) && known.Kind == model.ErrUnavailable
		if try == 0 || !unavailable {
			err = err2 // once unknown, a later refusal does not make it known
		}
		if unavailable && try == 0 {
			return out, err
		}
	}
	return out, err
}

func (k *kv) once(ctx context.Context, s *service.Service, invocation model.RequestID, in kvInput) (out kvOutput, err error) {
	id := model.Attr{Name: "id", Value: text(kvKey(in.key))}
	if in.op == opGet {
		got, err := s.GetItem(ctx, &service.GetItemRequest{Table: kvTable, Key: model.Item{id}, Strong: true})
		if err != nil {
			return out, err
		}
		if v, ok := got.Item.Get("v"); ok {
			out.value = v.Str
		}
		return out, nil
	}
	req := &service.PutItemRequest{Invocation: invocation, Table: kvTable, Item: model.Item{id, {Name: "v", Value: text(in.new)}}}
	if in.op == opCAS {
		if req.Condition, err = condition(in.old); err != nil {
			return out, err
		}
	}
	_, err = s.PutItem(ctx, req)
	var known *model.Error
	if errors.As(err, &known) && known.Kind == model.ErrConditionFailed {
		return kvOutput{ok: false}, nil
	}
	return kvOutput{ok: true}, err
}

func kvKey(n int) string { return fmt.Sprint("k", n) }

// condition is the condition that the value is still old.
func condition(old string) (*expr.Condition, error) {
	if old == "" {
		p, err := expr.NewParams(nil, nil)
		if err != nil {
			return nil, err
		}
		return expr.ParseCondition("attribute_not_exists(v)", p)
	}
	p, err := expr.NewParams(nil, model.Item{{Name: ":old", Value: text(old)}})
	if err != nil {
		return nil, err
	}
	return expr.ParseCondition("v = :old", p)
}

func text(s string) model.Value { return model.Value{Kind: model.KindS, Str: s} }

// check holds the history to linearizability.
func (k *kv) check() []string {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch porcupine.CheckOperationsTimeout(kvModel, k.history, 30*time.Second) {
	case porcupine.Illegal:
		return []string{fmt.Sprintf("the history of %d gets and puts is not linearizable", len(k.history))}
	case porcupine.Unknown:
		return []string{fmt.Sprintf("the checker could not decide about a history of %d operations, %d of them unknown", len(k.history), k.unknown)}
	}
	return nil
}

var kvModel = porcupine.Model{
	Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
		parts := make([][]porcupine.Operation, kvKeys)
		for _, op := range history {
			key := op.Input.(kvInput).key
			parts[key] = append(parts[key], op)
		}
		return parts
	},
	Init: func() any { return "" },
	Step: func(state, input, output any) (bool, any) {
		in, out, now := input.(kvInput), output.(kvOutput), state.(string)
		switch in.op {
		case opGet:
			return out.value == now, now
		case opPut:
			return true, in.new
		}
		switch {
		case out.unknown && now == in.old, out.ok && now == in.old:
			return true, in.new
		case out.unknown:
			return true, now
		case out.ok:
			return false, now
		default:
			return now != in.old, now
		}
	},
	Equal: func(a, b any) bool { return a == b },
}

// randomID is a client's request id.
func randomID(rng *rand.Rand) (id model.RequestID) {
	for i := range id {
		id[i] = byte(rng.IntN(256))
	}
	return id
}

// pause sleeps for up to most, never exactly as long as anybody else.
func pause(rng *rand.Rand, most time.Duration) {
	time.Sleep(time.Duration(1 + rng.Int64N(int64(most))))
}

func closed(stop <-chan struct{}) bool {
	select {
	case <-stop:
		return true
	default:
		return false
	}
}

func (k *kv) clients() int { return kvWriters + kvReaders }

func (k *kv) finish() error { return nil }

func (k *kv) report(r *Report) { r.KV, r.KVUnknown = k.done, k.unknown }
